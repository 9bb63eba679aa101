"""What the linear part of the default model hands to its network: arrays only, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .._arrays import SlideArrays


@dataclass(frozen=True, eq=False)
class LinearOutput:
    """What the linear part knows of a slide of n spots after seeing p prompts, in k gene components.

    Attributes
    ----------
    index
        (p,) int64, prompts that have counts.
    observed
        (p, k) whitened rates of the prompts.
    noise
        (p,) noise variance of each prompt relative to the median prompt.
    depth
        Panel counts of the median prompt; the noise variance of ``observed`` is ``noise / depth``.
    predicted
        (n, k) prediction of the linear part at every spot.
    left_out
        (p, k) its prediction at each prompt from the others.
    spread
        (n,) remaining share of the signal variance, in [0, 1].
    """

    index: NDArray[np.int64]
    observed: NDArray[np.float64]
    noise: NDArray[np.float64]
    depth: float
    predicted: NDArray[np.float64]
    left_out: NDArray[np.float64]
    spread: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TrainingEpisode:
    """One slide under one draw of prompts, with what there was to predict.

    Attributes
    ----------
    linear
        All that a prediction may look at.
    truth
        (n, k) whitened rates of all spots, on the scale of these prompts.
    truth_noise
        (n,) noise variance of each spot relative to the slide's median; infinite where a spot has no counts.
    """

    linear: LinearOutput
    truth: NDArray[np.float64]
    truth_noise: NDArray[np.float64]


class EpisodeSource(Protocol):
    """Training slides under the linear part."""

    @property
    def arrays(self) -> Sequence[SlideArrays]:
        """Image side of the training slides."""

    @property
    def scale(self) -> NDArray[np.float64]:
        """(k,) standard deviation of the signal in each component."""

    def episode(self, slide: int, index: NDArray[np.int64], *, image: bool) -> TrainingEpisode:
        """The slide with these prompts; ``image=False``: as if it had no image."""
