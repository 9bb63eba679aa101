"""What the linear part of the default model hands to its network: arrays only, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._arrays import SlideArrays, TrainingSlide


@dataclass(frozen=True, eq=False)
class Measured:
    """Prompts of a slide, in k gene components.

    Attributes
    ----------
    index
        (p,) int64, prompts that have counts.
    columns
        (p, k) whitened rates of the prompts.
    noise
        (p,) noise variance of each prompt relative to the median prompt.
    depth
        Panel counts of the median prompt; the noise variance of ``columns`` is ``noise / depth``.
    """

    index: NDArray[np.int64]
    columns: NDArray[np.float64]
    noise: NDArray[np.float64]
    depth: float


@dataclass(frozen=True, eq=False)
class TrainingEpisode:
    """One slide under one draw of prompts, with what there was to predict.

    Attributes
    ----------
    prompts
        All that a prediction may look at.
    truth
        (n, k) whitened rates of all spots, on the scale of these prompts.
    truth_noise
        (n,) noise variance of each spot relative to the slide's median; infinite where a spot has no counts.
    """

    prompts: Measured
    truth: NDArray[np.float64]
    truth_noise: NDArray[np.float64]


class EpisodeSource(Protocol):
    """Training slides in gene components."""

    @property
    def slides(self) -> Sequence[TrainingSlide]:
        """The training slides."""

    @property
    def arrays(self) -> Sequence[SlideArrays]:
        """Image side of the training slides."""

    @property
    def scale(self) -> NDArray[np.float64]:
        """(k,) standard deviation of the signal in each component."""

    def episode(self, slide: int, index: NDArray[np.int64]) -> TrainingEpisode:
        """The slide with these prompts."""

    def linear(self, slide: int, index: NDArray[np.int64]) -> NDArray[np.float64]:
        """(n, k) the linear prediction from these prompts, its patient never seen."""
