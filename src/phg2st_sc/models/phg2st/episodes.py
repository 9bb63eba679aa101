"""Training slides in gene components, as the network is trained and judged on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays, TrainingSlide
from ...linear import PRIOR_COUNTS, Measured, TrainingEpisode, Working
from .conditioning import Encoded, condition
from .knowledge import Knowledge, Learned

Array = NDArray[np.float64]


def measured(working: Working, vectors: Array) -> Measured:
    """Prompts in gene components."""
    return Measured(working.index, np.asarray(working.values @ vectors), working.noise, working.depth)


class CohortEpisodes:
    """Training slides under draws of prompts; for the linear part, as if their patients had never been seen.

    Parameters
    ----------
    learned
        Of the cohort.
    method
        Name for messages.
    """

    def __init__(self, learned: Learned, method: str) -> None:
        self._learned, self._method = learned, method
        self._encoded: dict[int, tuple[Knowledge, Encoded]] = {}

    @property
    def slides(self) -> Sequence[TrainingSlide]:
        """The training slides."""
        return self._learned.slides

    @property
    def arrays(self) -> Sequence[SlideArrays]:
        """Image side of the training slides."""
        return [slide.arrays for slide in self._learned.slides]

    @property
    def scale(self) -> Array:
        """(k,) standard deviation of the signal in each component."""
        return self._learned.knowledge.scale

    def episode(self, slide: int, index: NDArray[np.int64]) -> TrainingEpisode:
        """The slide with these prompts."""
        known, there = self._learned.knowledge, self._learned.slides[slide]
        working = self._working(known, slide, index)
        totals = there.counts.sum(axis=1, dtype=np.float64)
        seen = np.flatnonzero(totals > 0)
        vectors = known.basis.vectors
        truth = np.zeros((totals.size, vectors.shape[1]))
        truth[seen] = working.scale.components(there.counts, totals, vectors, seen)
        noise = np.full(totals.size, np.inf)
        noise[seen] = np.median(totals[seen]) / totals[seen]
        return TrainingEpisode(measured(working, vectors), truth, noise)

    def linear(self, slide: int, index: NDArray[np.int64]) -> Array:
        """(n, k) the linear prediction from these prompts, by what patients other than the slide's teach."""
        if slide not in self._encoded:
            arrays = self._learned.slides[slide].arrays
            known = self._learned.without(arrays, whole_patient=True)
            self._encoded[slide] = (known, Encoded.of(arrays, known, self._method))
        known, encoded = self._encoded[slide]
        return condition(known, encoded, self._working(known, slide, index)).columns

    def _working(self, known: Knowledge, slide: int, index: NDArray[np.int64]) -> Working:
        prompts = self._learned.slides[slide].prompts(index, target_sum=1.0)
        return Working.of(prompts, prior=known.levels, prior_counts=PRIOR_COUNTS, spread=known.spread)
