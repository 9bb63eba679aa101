"""Distances that are sums of Euclidean distances: compared a block of rows at a time, and ranked exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Terms = Sequence[NDArray[np.float64]]
"""Arrays (n, d_t) whose Euclidean distances add up to the distance of two rows."""

MARGIN = 16
"""Candidates beyond K: float32 chooses them, float64 ranks them."""
_BLOCK_VALUES = 4_000_000
_FEWEST_ROWS = 16
_DECIMALS = 9


def closest(points: Terms, m: int, *, queries: Terms, own: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return (q, m) closest points of each query, in no order, by single-precision products a block of queries at a time.

    Parameters
    ----------
    points, queries
        The same terms of both.
    m
        How many, at most as many as there are.
    own
        (q,) the point that each query is, which is left out.
    """
    singles = [_single(term) for term in points]
    asked = singles if queries is points else [_single(term) for term in queries]
    n_queries, n_points = len(queries[0]), len(points[0])
    found = np.empty((n_queries, m), dtype=np.int64)
    step = max(_FEWEST_ROWS, _BLOCK_VALUES // n_points)
    for start in range(0, n_queries, step):
        rows = slice(start, min(start + step, n_queries))
        total = np.zeros((rows.stop - start, n_points), dtype=np.float32)
        for (values, squares), (wanted, lengths) in zip(singles, asked, strict=True):
            squared = lengths[rows, None] + squares[None, :] - 2.0 * (wanted[rows] @ values.T)
            total += np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared)
        if own is not None:
            total[np.arange(rows.stop - start), own[rows]] = np.inf
        found[rows] = np.argpartition(total, m - 1, axis=1)[:, :m] if m < n_points else np.arange(n_points)
    return found


def _single(term: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return term.astype(np.float32), np.square(term).sum(axis=1).astype(np.float32)


def ranked(
    points: Terms,
    candidates: NDArray[np.int64],
    k: int,
    *,
    queries: Terms,
    own: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k best candidates (q, k) by the distances themselves, in double precision; equal ones by their number.

    A candidate that is found twice counts once, and ``own`` not at all: where fewer than k are left, distances are infinite.
    """
    n = len(candidates)
    index, distance = np.empty((n, k), np.int64), np.empty((n, k))
    width = max(1, candidates.shape[1] * max(term.shape[1] for term in points))
    step = max(1, _BLOCK_VALUES // width)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        chosen = np.sort(candidates[rows], axis=1)
        total = np.zeros(chosen.shape)
        for term, asked in zip(points, queries, strict=True):
            total += np.sqrt(np.square(term[chosen] - asked[rows, None]).sum(axis=2))
        total[:, 1:][chosen[:, 1:] == chosen[:, :-1]] = np.inf  # a candidate found twice
        if own is not None:
            total[chosen == own[rows, None]] = np.inf
        best = np.argsort(np.round(total, _DECIMALS), axis=1, kind="stable")[:, :k]
        index[rows] = np.take_along_axis(chosen, best, axis=1)
        distance[rows] = np.take_along_axis(total, best, axis=1)
    return index, distance
