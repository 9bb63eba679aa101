"""Nearest spots under a sum of Euclidean distances, without any n x n array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXACT_UP_TO = 20_000
"""Spots up to which all pairs are compared."""
MARGIN = 16
"""Candidates beyond K: float32 chooses them, float64 ranks them."""
_CANDIDATES = 64
_REDUCED = 64
_BLOCK_VALUES = 4_000_000
_DECIMALS = 9


@dataclass(frozen=True, eq=False)
class Nearest:
    """K nearest spots of each spot.

    Attributes
    ----------
    index
        (n, k) int64, nearest first.
    distance
        (n, k) float64.
    exact
        Whether all pairs were compared.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    exact: bool


def rms_distance(values: NDArray[np.floating]) -> float:
    """Root mean square of the distances between all pairs of rows, in O(n d).

    Examples
    --------
    >>> import numpy as np
    >>> round(rms_distance(np.array([[0.0], [3.0], [3.0]])) ** 2, 6)  # squares 9, 9, 0
    6.0
    """
    n = len(values)
    if n < 2:
        return 0.0
    centered = values - values.mean(axis=0, dtype=np.float64)
    return float(np.sqrt(2.0 * np.square(centered).sum() / (n - 1)))


def canonical_order(positions: NDArray[np.float64], features: NDArray[np.float32] | None) -> NDArray[np.int64]:
    """Order of the spots by what they are, not by where they stand in a table: by x, then y, then features.

    Everything is computed in this order, so that equal distances, and rounding, fall the same way for every order of the
    same spots.
    """
    keys = [positions[:, 1], positions[:, 0]]
    if features is not None and len(np.unique(positions, axis=0)) < len(positions):
        keys = [*features.T[::-1], *keys]
    return np.lexsort(keys).astype(np.int64)


def nearest(terms: Sequence[NDArray[np.floating]], k: int, *, exact_up_to: int = EXACT_UP_TO) -> Nearest:
    """Find the k nearest rows of each row under the sum of the Euclidean distances of the terms.

    Parameters
    ----------
    terms
        Arrays (n, d_t), already scaled.
    k
        Neighbours wanted; fewer where there are fewer other rows.
    exact_up_to
        Largest n for which all pairs are compared, a block of rows at a time. Beyond it, candidates come from a search
        in a joint space of reduced dimension, and are ranked by the sum itself.
    """
    n = len(terms[0])
    k = min(k, n - 1)
    if k < 1:
        return Nearest(np.zeros((n, 0), np.int64), np.zeros((n, 0)), exact=True)
    centered = [np.ascontiguousarray(term - term.mean(axis=0, dtype=np.float64), dtype=np.float64) for term in terms]
    exact = n <= exact_up_to
    candidates = _all_pairs(centered, min(k + MARGIN, n - 1)) if exact else _joint_candidates(centered, k)
    return Nearest(*_rank(centered, candidates, k), exact=exact)


def _all_pairs(terms: Sequence[NDArray[np.float64]], m: int) -> NDArray[np.int64]:
    """Return (n, m) nearest others, in no order, from single-precision products a block of rows at a time."""
    singles = [(term.astype(np.float32), np.square(term).sum(axis=1).astype(np.float32)) for term in terms]
    n = len(terms[0])
    found = np.empty((n, m), dtype=np.int64)
    step = max(1, _BLOCK_VALUES // n)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        total = np.zeros((rows.stop - start, n), dtype=np.float32)
        for values, squares in singles:
            product = values[rows] @ values.T
            squared = squares[rows, None] + squares[None, :] - 2.0 * product
            total += np.sqrt(np.maximum(squared, 0.0, out=squared), out=squared)
        total[np.arange(rows.stop - start), np.arange(start, rows.stop)] = np.inf
        found[rows] = np.argpartition(total, m - 1, axis=1)[:, :m]
    return found


def _joint_candidates(terms: Sequence[NDArray[np.float64]], k: int) -> NDArray[np.int64]:
    """Nearest others in space and in all terms side by side: a sum of distances is at least the joint distance."""
    from sklearn.neighbors import NearestNeighbors

    reduced = [_reduce(term) for term in terms]
    spaces = [reduced[0], np.hstack(reduced)] if len(reduced) > 1 else reduced
    m = min(k + 1 + _CANDIDATES, len(terms[0]))
    found = [NearestNeighbors(n_neighbors=m).fit(space).kneighbors(return_distance=False) for space in spaces]
    return np.hstack(found).astype(np.int64)


def _reduce(term: NDArray[np.float64]) -> NDArray[np.float64]:
    if term.shape[1] <= _REDUCED:
        return term
    from sklearn.decomposition import PCA

    return PCA(_REDUCED, svd_solver="randomized", random_state=0).fit_transform(term)


def _rank(
    terms: Sequence[NDArray[np.float64]], candidates: NDArray[np.int64], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the k best of the candidates by the distances themselves; equal ones by their number."""
    n = len(candidates)
    index, distance = np.empty((n, k), np.int64), np.empty((n, k))
    width = max(1, candidates.shape[1] * max(term.shape[1] for term in terms))
    step = max(1, _BLOCK_VALUES // width)
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        chosen = np.sort(candidates[rows], axis=1)
        total = np.zeros(chosen.shape)
        for term in terms:
            total += np.sqrt(np.square(term[chosen] - term[rows, None]).sum(axis=2))
        ranked = np.round(total, _DECIMALS)
        ranked[:, 1:][chosen[:, 1:] == chosen[:, :-1]] = np.inf  # a candidate found twice
        best = np.argsort(ranked, axis=1, kind="stable")[:, :k]
        index[rows] = np.take_along_axis(chosen, best, axis=1)
        distance[rows] = np.take_along_axis(total, best, axis=1)
    return index, distance
