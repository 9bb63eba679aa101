"""Training slides under the linear part, as the network that corrects it is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays
from ...linear import PRIOR_COUNTS, LinearOutput, TrainingEpisode, Working
from .conditioning import Conditioned, Encoded, condition, unexplained
from .knowledge import Knowledge, Learned

Array = NDArray[np.float64]


def linear_output(encoded: Encoded, working: Working, out: Conditioned) -> LinearOutput:
    """What the linear part knows of a slide under its prompts."""
    return LinearOutput(
        working.index[out.kept],
        out.observed,
        working.noise[out.kept],
        working.depth,
        out.columns,
        out.left_out,
        unexplained(encoded, working, out.covariance, out.ratio),
    )


class CohortEpisodes:
    """Every training slide is predicted from what the others teach: without the slide, or without its patient.

    Parameters
    ----------
    learned
        Of the cohort.
    method
        Name for messages.
    """

    def __init__(self, learned: Learned, method: str) -> None:
        self._learned, self._method = learned, method
        self._encoded: dict[tuple[int, bool, bool], tuple[Knowledge, Encoded]] = {}

    @property
    def arrays(self) -> Sequence[SlideArrays]:
        """Image side of the training slides."""
        return [slide.arrays for slide in self._learned.slides]

    @property
    def scale(self) -> Array:
        """(k,) standard deviation of the signal in each component."""
        return self._learned.knowledge.scale

    def episode(self, slide: int, index: NDArray[np.int64], *, image: bool) -> TrainingEpisode:
        """The slide with these prompts; every other draw as if its patient had never been seen."""
        measured = self._learned.slides[slide]
        unseen = not self._learned.has_relatives(measured.arrays) or int(index.sum()) % 2 == 0
        knowledge, encoded = self._known(slide, unseen, image and measured.arrays.features is not None)
        prompts = measured.prompts(index, target_sum=1.0)
        working = Working.of(prompts, prior=knowledge.levels, prior_counts=PRIOR_COUNTS, spread=knowledge.spread)
        out = condition(knowledge, encoded, working)
        totals = measured.counts.sum(axis=1, dtype=np.float64)
        seen = np.flatnonzero(totals > 0)
        vectors = knowledge.basis.vectors
        truth = np.zeros((totals.size, vectors.shape[1]))
        truth[seen] = working.scale.components(measured.counts, totals, vectors, seen)
        noise = np.full(totals.size, np.inf)
        noise[seen] = np.median(totals[seen]) / totals[seen]
        return TrainingEpisode(linear_output(encoded, working, out), truth, noise)

    def _known(self, slide: int, unseen: bool, image: bool) -> tuple[Knowledge, Encoded]:
        key = (slide, unseen, image)
        if key not in self._encoded:
            arrays = self._learned.slides[slide].arrays
            knowledge = self._learned.without(arrays, whole_patient=unseen)
            seen = arrays if image else replace(arrays, features=None, context_index=None, tiles=None)
            self._encoded[key] = (knowledge, Encoded.of(seen, knowledge, self._method))
        return self._encoded[key]
