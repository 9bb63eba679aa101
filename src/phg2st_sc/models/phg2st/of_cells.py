"""Gene components from single cells, which have no places: what varies from cell to cell beyond counting noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...linear import GeneBasis, RateScale
from .knowledge import Knowledge

Array = NDArray[np.float64]

_CELLS = 1024
"""That are held at a time."""


def knowledge_of_cells(counts: Any, n_components: int) -> Knowledge | None:
    """Levels and components of the genes; ``None`` where they do not vary beyond noise.

    The covariance of whitened rates between cells holds the noise of counting, one over the counts of a cell, which is
    taken off (cells weigh by their counts). How much of it is left between spots of many cells, the prompts of a
    slide say.

    Parameters
    ----------
    counts
        (cells, G) raw counts, dense or CSR; cells without any are passed over.
    n_components
        At most so many.
    """
    totals = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    used = np.flatnonzero(totals > 0)
    sums = np.asarray(counts.sum(axis=0), dtype=np.float64).ravel()
    if used.size < 2 or sums.size < 2:
        return None
    scale = RateScale(np.maximum(sums, 0.5) / totals.sum(), depth=float(np.median(totals[used])))
    second, first = np.zeros((sums.size, sums.size)), np.zeros(sums.size)
    for start in range(0, used.size, _CELLS):
        rows = used[start : start + _CELLS]
        block = counts[rows]
        dense = np.asarray(block.toarray() if hasattr(block, "toarray") else block, dtype=np.float32)
        values = scale.whiten(dense, totals[rows])
        second += (values * totals[rows, None]).T @ values
        first += totals[rows] @ values
    first /= totals.sum()
    covariance = second / totals.sum() - np.outer(first, first)
    covariance[np.diag_indices_from(covariance)] -= used.size / totals.sum()
    variance, vectors = np.linalg.eigh(covariance)
    order = np.argsort(-variance)[: min(n_components, sums.size - 1)]
    order = order[variance[order] > 0]
    if not order.size:
        return None
    basis = GeneBasis(np.ascontiguousarray(vectors[:, order]), variance[order])
    return Knowledge(scale.level, np.ones(sums.size), basis)
