"""Episodes: a slide under a draw of prompts, and what there is to predict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....training import LEAST_PROMPTS, EpisodeConfig
from .tensors import Evidence, SlideInput

SCATTERED, BLOCK = PATTERNS = ("scattered", "block")
_BLOCK = 2.0
"""Times that spots are farther from their prompts, than if these were scattered, from which on prompts are a block."""


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
        (n, k) share of signal in ``truth``; 0 where nothing was measured.
    """

    slide: SlideInput
    evidence: Evidence
    truth: Tensor
    weight: Tensor

    def to(self, device: Any) -> Episode:
        """The same on another device."""
        return Episode(self.slide.to(device), self.evidence.to(device), self.truth.to(device), self.weight.to(device))


MakeEpisode = Callable[[int, NDArray[np.int64], bool], Episode]
"""Episode of a slide, by number, with these prompts, with or without its image."""


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
    imaged
        Whether it has an image.
    """

    number: int
    positions: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    imaged: bool


def draw_prompts(
    slide: EpisodeSlide, share: float, pattern: str, most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Ascending indices of prompts: at random, or those nearest to a random centre.

    At least 3, at most ``most``, and one spot of those allowed always stays unprompted.
    """
    allowed = np.flatnonzero(slide.allowed)
    size = int(np.clip(round(share * allowed.size), LEAST_PROMPTS, most))
    size = max(1, min(size, allowed.size - 1))
    if pattern == BLOCK:
        center = slide.positions[rng.choice(allowed)]
        away = ((slide.positions[allowed] - center) ** 2).sum(axis=1)
        return np.sort(allowed[np.argsort(away, kind="stable")[:size]])
    return np.sort(rng.choice(allowed, size, replace=False))


def training_draw(
    slide: EpisodeSlide, config: EpisodeConfig, rng: np.random.Generator
) -> tuple[int, NDArray[np.int64], bool]:
    """Slide, prompts and whether the image is shown, of one episode."""
    share = float(np.exp(rng.uniform(np.log(config.fewest), np.log(config.most))))
    pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    shown = slide.imaged and rng.random() >= config.image_dropout
    return slide.number, draw_prompts(slide, share, pattern, config.most_prompts, rng), shown


def pattern_of(nearest: NDArray[np.float64], n_prompts: int) -> str:
    """Whether prompts are scattered over a slide or a block, from the distance of each spot to the nearest of them."""
    scattered = 0.5 * np.sqrt(nearest.size / max(n_prompts, 1))
    return BLOCK if nearest.mean() > _BLOCK * scattered else SCATTERED


def window(episode: Episode, size: int, rng: np.random.Generator) -> Episode:
    """The ``size`` spots around a random prompt: large slides are learned from in parts."""
    positions = episode.slide.positions
    n = len(positions)
    if n <= size:
        return episode
    index = episode.evidence.index
    center = positions[index[int(rng.integers(len(index)))]]
    rows = torch.argsort((positions - center).square().sum(dim=1), stable=True)[:size].sort().values
    return Episode(episode.slide.part(rows), episode.evidence.part(rows, n), episode.truth[rows], episode.weight[rows])


def episode_loss(whole: Tensor, alone: Tensor, episode: Episode, *, correlation: float) -> Tensor:
    """Loss of the prediction at unprompted spots, and half that of the head alone, which saw no spot's own measurement."""
    unseen = episode.weight.index_fill(0, episode.evidence.index, 0.0)
    loss = _loss(whole, episode.truth, unseen, correlation)
    return loss + 0.5 * _loss(alone, episode.truth, episode.weight, correlation)


def _loss(predicted: Tensor, truth: Tensor, weight: Tensor, correlation: float) -> Tensor:
    """Squared error per unit of weight, plus ``correlation`` times the lack of correlation, by the signal of components."""
    squared = (weight * (predicted - truth).square()).sum() / weight.sum().clamp_min(1e-6)
    share = weight.mean(dim=0)
    found = (correlations(predicted, truth, weight) * share).sum() / share.sum().clamp_min(1e-12)
    return squared + correlation * (1.0 - found)


def correlations(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """(k,) weighted correlation of (n, k) columns; about 0 where one of them is constant."""
    weight = weight / weight.sum(dim=0).clamp_min(1e-12)
    a, b = (x - (weight * x).sum(dim=0) for x in (a, b))
    covariance = (weight * a * b).sum(dim=0)
    return covariance / torch.sqrt(((weight * a * a).sum(dim=0) + 1e-4) * ((weight * b * b).sum(dim=0) + 1e-4))


def slides_to_draw(
    positions: Sequence[NDArray[np.float64]], allowed: Sequence[NDArray[np.bool_]], imaged: Sequence[bool]
) -> list[EpisodeSlide]:
    """Slides that have at least two spots that may be prompts."""
    every = (EpisodeSlide(i, *one) for i, one in enumerate(zip(positions, allowed, imaged, strict=True)))
    return [slide for slide in every if slide.allowed.sum() > LEAST_PROMPTS]
