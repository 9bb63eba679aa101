"""Episodes: a slide under a draw of prompts, with a linear prediction and what it misses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....graph import HypergraphOperator
from ....nn import SlideTensors
from ....training import LEAST_PROMPTS, EpisodeConfig
from .network import Evidence

PATTERNS = ("scattered", "block")
_MOST_CHECKED = 16
"""Slides that are validated on, at most."""


@dataclass(frozen=True, eq=False)
class Episode:
    """What a step is given, in standard deviations of k components.

    Attributes
    ----------
    slide, evidence
        All that the network sees.
    truth
        (n, k) what was measured.
    weight
        (n, k) share of signal in ``truth``; 0 at prompts and where nothing is scored.
    number
        Place of the slide among all slides.
    """

    slide: SlideTensors
    evidence: Evidence
    truth: Tensor
    weight: Tensor
    number: int

    def to(self, device: Any) -> Episode:
        """The same on another device."""
        parts = (self.evidence.to(device), self.truth.to(device), self.weight.to(device))
        return Episode(self.slide.to(device), *parts, self.number)


@dataclass(frozen=True, eq=False)
class EpisodeSlide:
    """A slide to draw episodes from.

    Attributes
    ----------
    number
        Place among all slides.
    positions
        (n, 2) in pitches.
    allowed
        (n,) bool, spots that may be prompts.
    scored
        (n,) bool, spots that are predicted, as far as they are no prompts.
    imaged
        Whether it has an image.
    """

    number: int
    positions: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    scored: NDArray[np.bool_]
    imaged: bool


MakeEpisode = Callable[[EpisodeSlide, NDArray[np.int64], bool], Episode]
"""Episode of a slide with these prompts, with or without its image."""


def draw_prompts(
    slide: EpisodeSlide, share: float, pattern: str, most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Ascending indices of prompts: at random, or those nearest to a random centre.

    At least 3, at most ``most``, and one spot of those allowed always stays unprompted.
    """
    allowed = np.flatnonzero(slide.allowed)
    size = int(np.clip(round(share * allowed.size), LEAST_PROMPTS, most))
    size = max(1, min(size, allowed.size - 1))
    if pattern == "block":
        center = slide.positions[rng.choice(allowed)]
        away = ((slide.positions[allowed] - center) ** 2).sum(axis=1)
        return np.sort(allowed[np.argsort(away, kind="stable")[:size]])
    return np.sort(rng.choice(allowed, size, replace=False))


def training_draw(
    slides: Sequence[EpisodeSlide], config: EpisodeConfig, rng: np.random.Generator
) -> tuple[EpisodeSlide, NDArray[np.int64], bool]:
    """Slide, prompts and whether the image is shown, of one step."""
    slide = slides[int(rng.integers(len(slides)))]
    share = float(np.exp(rng.uniform(np.log(config.fewest), np.log(config.most))))
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    shown = slide.imaged and rng.random() >= config.image_dropout
    return slide, draw_prompts(slide, share, pattern, config.most_prompts, rng), shown


def fixed_episodes(
    slides: Sequence[EpisodeSlide], make: MakeEpisode, config: EpisodeConfig, *, draw: int
) -> list[Episode]:
    """Scattered and block episodes of each slide, with its image where there is one; another ``draw``, other prompts."""
    found = []
    imaged = sorted(slides, key=lambda s: not s.imaged)[:_MOST_CHECKED]
    for slide in imaged:
        for number, pattern in enumerate(PATTERNS):
            rng = np.random.default_rng((config.seed, 5, slide.number, number, draw))
            index = draw_prompts(slide, config.validation_prompts, pattern, config.most_prompts, rng)
            found.append(make(slide, index, slide.imaged))
    return found


def window(episode: Episode, size: int, rng: np.random.Generator) -> Episode:
    """The ``size`` spots around a random prompt: large slides are learned from in parts."""
    positions = episode.slide.positions
    if len(positions) <= size:
        return episode
    given = episode.evidence
    center = positions[given.index[int(rng.integers(len(given.index)))]]
    rows = torch.argsort((positions - center).square().sum(dim=1), stable=True)[:size].sort().values
    place = torch.full((len(positions),), -1).index_copy(0, rows, torch.arange(len(rows)))
    kept = place[given.index] >= 0
    evidence = Evidence(
        index=place[given.index[kept]],
        observed=given.observed[kept],
        noise=given.noise[kept],
        left_out=given.left_out[kept],
        predicted=given.predicted[rows],
        spread=given.spread[rows],
        depth=given.depth,
    )
    return Episode(_part(episode.slide, rows), evidence, episode.truth[rows], episode.weight[rows], episode.number)


def _part(slide: SlideTensors, rows: Tensor) -> SlideTensors:
    propagation: Any = slide.propagation
    incidence = propagation.incidence[rows.numpy()][:, rows.numpy()]
    return SlideTensors(
        slide.positions[rows],
        HypergraphOperator(incidence, engine=propagation.engine),
        None if slide.features is None else slide.features[rows],
        slide.tiles,
        None if slide.context_index is None else slide.context_index[rows],
        None if slide.context_operator is None else slide.context_operator[rows],
    )


def episode_loss(correction: Tensor, episode: Episode, *, correlation: float) -> Tensor:
    """Squared error per unit of weight, plus ``correlation`` times the mean lack of correlation over components."""
    predicted = episode.evidence.predicted + correction
    squared = (episode.weight * (predicted - episode.truth).square()).sum() / episode.weight.sum().clamp_min(1e-6)
    return squared + correlation * (1.0 - mean_correlation(predicted, episode))


def mean_correlation(predicted: Tensor, episode: Episode) -> Tensor:
    """Weighted correlation over the scored spots; mean over components, by their share of signal."""
    found = correlations(predicted, episode.truth, episode.weight)
    share = episode.weight.mean(dim=0)
    return (found * share).sum() / share.sum().clamp_min(1e-12)


def correlations(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """(k,) weighted correlation of (n, k) columns; about 0 where one of them is constant."""
    weight = weight / weight.sum(dim=0).clamp_min(1e-12)
    a, b = (x - (weight * x).sum(dim=0) for x in (a, b))
    covariance = (weight * a * b).sum(dim=0)
    return covariance / torch.sqrt(((weight * a * a).sum(dim=0) + 1e-4) * ((weight * b * b).sum(dim=0) + 1e-4))
