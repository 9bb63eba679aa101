"""What every linear method can learn from training slides: gene levels, gene components, and a covariance."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from .._arrays import SlideArrays, TrainingSlide
from ._gaussian import Covariance
from ._judge import even_subset
from ._kernels import Places
from ._rates import RateScale
from ._working import Working

Array = NDArray[np.float64]

GeneLevels = Annotated[Array, "G", ">= 0"]
"""Counts of a gene per count of the panel, by gene."""
PRIOR_COUNTS = 1000.0
"""Counts that the cohort's gene levels are worth beside those of the prompts."""
_MAX_SLIDES = 12
_EPISODE_FRACTION = 0.1


def check_training(slides: Sequence[TrainingSlide], method: str) -> tuple[str, ...]:
    """Genes shared, in order, by all training slides; an error when there are none or they differ."""
    if len(slides) == 0:
        msg = f"Method {method!r} was given no training slide: pass at least one to `fit`."
        raise ValueError(msg)
    genes = slides[0].genes
    for slide in slides[1:]:
        if slide.genes != genes:
            msg = f"Training slides {slides[0].arrays.name!r} and {slide.arrays.name!r} have different gene panels."
            raise ValueError(msg)
    return genes


def cohort_levels(slides: Sequence[TrainingSlide]) -> Array:
    """(G,) mean over slides of the genes' shares in the panel."""
    return np.mean(
        [RateScale.from_counts(s.counts, s.counts.sum(axis=1, dtype=np.float64)).level for s in slides], axis=0
    )


@dataclass(frozen=True)
class Trial:
    """A training slide with a few of its spots as prompts and the others held out."""

    slide: SlideArrays
    working: Working
    held_out: NDArray[np.int64]
    truth: Array
    noise: Array


def episodes(slides: Sequence[TrainingSlide], *, seed: int) -> Iterator[Trial]:
    """One scattered and one block episode on each of at most 12 training slides."""
    rng = np.random.default_rng(seed)
    for position in even_subset(len(slides), _MAX_SLIDES):
        slide = slides[position]
        n_prompts = max(5, round(_EPISODE_FRACTION * slide.arrays.n_spots))
        if slide.arrays.n_spots < 2 * n_prompts:
            continue
        yield _episode(slide, rng.choice(slide.arrays.n_spots, n_prompts, replace=False))
        center = slide.arrays.positions[rng.integers(slide.arrays.n_spots)]
        distance = ((slide.arrays.positions - center) ** 2).sum(axis=1)
        yield _episode(slide, np.argsort(distance, kind="stable")[:n_prompts])


def _episode(slide: TrainingSlide, index: NDArray[np.int64]) -> Trial:
    working = Working.of(slide.prompts(index, target_sum=1.0))
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    held_out = np.setdiff1d(np.flatnonzero(totals > 0), index)
    truth = working.scale.whiten(slide.counts[held_out], totals[held_out])
    return Trial(slide.arrays, working, held_out, truth, np.median(totals[held_out]) / totals[held_out])


def choose_on_cohort(
    trials: Sequence[tuple[Places, Trial]],
    candidates: Iterable[Covariance],
    predict: Callable[[Places, Working, Covariance], Array],
) -> Covariance:
    """Covariance whose predictions correlate best with the held-out spots, genes and episodes counting the same.

    Parameters
    ----------
    trials
        Episodes and the places of their slides.
    candidates
        Covariances to choose from.
    predict
        Whitened predictions (n, G) of all places under a covariance.
    """
    return max(candidates, key=lambda c: sum(held_out_correlation(e, predict(p, e.working, c)) for p, e in trials))


def held_out_correlation(episode: Trial, predicted: Array) -> float:
    """Mean over genes of the depth-weighted correlation at the held-out spots; a constant prediction counts 0."""
    weight = 1.0 / episode.noise
    weight /= weight.sum()
    truth, guess = episode.truth, predicted[episode.held_out]
    truth = truth - weight @ truth
    guess = guess - weight @ guess
    spread = np.sqrt((weight @ truth**2) * (weight @ guess**2))
    return float(np.mean(np.where(spread > 1e-12, weight @ (truth * guess) / np.maximum(spread, 1e-12), 0.0)))
