"""Compare methods on prompts that were left out in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prompts, SlideArrays
from ...linear import Record, Working, join, record
from .._base import Estimator

Array = NDArray[np.float64]


def compare(
    methods: Sequence[Estimator], slide: SlideArrays, prompts: Prompts, folds: NDArray[np.int64]
) -> list[Record]:
    """Record of every method over all folds."""
    parts = [_one_fold(methods, slide, prompts, folds == fold) for fold in np.unique(folds)]
    return [join(records) for records in zip(*parts, strict=True)]


def _one_fold(
    methods: Sequence[Estimator], slide: SlideArrays, prompts: Prompts, held_out: NDArray[np.bool_]
) -> list[Record]:
    kept = prompts.subset(np.flatnonzero(~held_out))
    working = Working.of(kept)
    counts = prompts.counts[held_out]
    totals = counts.sum(axis=1, dtype=np.float64)
    seen = totals > 0
    truth = working.scale.whiten(counts[seen], totals[seen])
    noise = np.median(prompts.counts.sum(axis=1)) / totals[seen]
    rows = prompts.index[held_out][seen]
    predicted = (working.whitened_of(method.predict(slide, kept))[rows] for method in methods)
    return [record(truth, guess, noise) for guess in predicted]
