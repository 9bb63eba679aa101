"""Nearest spots under a sum of Euclidean distances, without any n x n array."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._index import Index
from ._pairs import MARGIN, Terms, closest, ranked

EXACT_UP_TO = 20_000
"""Spots up to which all pairs are compared."""
LEAST_RECALL = 0.99
_FEW_POINTS = 2_000
_TREE_UP_TO = 3
"""Dimensions in which a tree is quicker than an index."""
_WIDER = (1, 2, 4)
"""Multiples of the candidates that are tried until few neighbors are missed."""
_EFFORTS = (0.1, 0.2, 0.4)
_CHECKED = 1_000
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False)
class Nearest:
    """K nearest points of each of q queries.

    Attributes
    ----------
    index
        (q, k) int64, nearest first.
    distance
        (q, k) float64.
    search
        ``"all pairs"``, ``"tree"``, or ``"index"``, which alone may miss a neighbor.
    recall
        Share of the nearest that were found: 1, or what was measured on 1,000 queries.
    """

    index: NDArray[np.int64]
    distance: NDArray[np.float64]
    search: str = "all pairs"
    recall: float = 1.0

    @property
    def exact(self) -> bool:
        """Whether no neighbor can have been missed."""
        return self.search != "index"


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


def nearest(points: ArrayLike, queries: ArrayLike | None, k: int, *, seed: int = 0) -> Nearest:
    """Find the k nearest points of each query by the Euclidean distance.

    Few points or pairs are all compared, and up to three dimensions are searched by a tree: both are exact. Else candidates
    come from an index (PyNNDescent), on one thread, and are ranked by the distances themselves; how many of the nearest were
    found is measured on 1,000 queries, and the search is widened where that is less than 99 %.

    Parameters
    ----------
    points
        (n, d) finite values.
    queries
        (q, d) finite values; ``None`` for the points themselves, each of which is left out of its own neighbors.
    k
        Neighbors wanted; fewer where there are fewer points.
    seed
        Of the index. Same seed, same bits.

    Returns
    -------
    :class:`Nearest`: ``index`` (q, k), ``distance`` (q, k), ``search`` and ``recall``. Equal distances go by the number of the point.

    Examples
    --------
    >>> import numpy as np
    >>> found = nearest(np.array([[0.0], [1.0], [5.0]]), np.array([[4.0]]), 2)
    >>> found.index.tolist(), found.distance.tolist(), found.search
    ([[2, 1]], [[1.0, 3.0]], 'all pairs')
    """
    where = np.asarray(points, dtype=np.float64)
    center = where.mean(axis=0)
    own = np.arange(len(where)) if queries is None else None
    there = [np.ascontiguousarray(where - center)]
    asked = there if queries is None else [np.ascontiguousarray(np.asarray(queries, dtype=np.float64) - center)]
    few = len(where) <= _FEW_POINTS or len(where) * len(asked[0]) <= EXACT_UP_TO**2
    return _search(there, k, queries=asked, own=own, all_pairs=few, seed=seed)


def nearest_spots(terms: Sequence[NDArray[np.floating]], k: int, *, exact_up_to: int = EXACT_UP_TO) -> Nearest:
    """Find the k nearest rows of each row under the sum of the Euclidean distances of the terms.

    Parameters
    ----------
    terms
        Arrays (n, d_t), already scaled: one, or two of which the first has two columns.
    k
        Neighbours wanted; fewer where there are fewer other rows.
    exact_up_to
        Largest n for which all pairs are compared, a block of rows at a time. Beyond it, places are searched by a tree, and
        all else by an index, whose candidates are ranked by the sum itself.
    """
    n = len(terms[0])
    centered = [np.ascontiguousarray(term - term.mean(axis=0, dtype=np.float64), dtype=np.float64) for term in terms]
    return _search(centered, k, queries=centered, own=np.arange(n), all_pairs=n <= exact_up_to, seed=0)


def _search(
    points: Terms, k: int, *, queries: Terms, own: NDArray[np.int64] | None, all_pairs: bool, seed: int
) -> Nearest:
    """Choose the way, and take it."""
    n_others = len(points[0]) - (own is not None)
    k = min(k, n_others)
    if k < 1:
        return Nearest(np.zeros((len(queries[0]), 0), np.int64), np.zeros((len(queries[0]), 0)))
    m = min(k + MARGIN, n_others)
    if all_pairs:
        candidates = closest(points, m, queries=queries, own=own)
        return Nearest(*ranked(points, candidates, k, queries=queries, own=own))
    if len(points) == 1 and points[0].shape[1] <= _TREE_UP_TO:
        return Nearest(*_by_tree(points, m, k, queries=queries, own=own), search="tree")
    return _by_index(points, m, k, queries=queries, own=own, seed=seed)


def _by_tree(
    points: Terms, m: int, k: int, *, queries: Terms, own: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    from scipy.spatial import cKDTree

    m = min(m + (own is not None), len(points[0]))
    candidates = cKDTree(points[0]).query(queries[0], k=np.arange(1, m + 1))[1]
    return ranked(points, candidates.astype(np.int64), k, queries=queries, own=own)


def _by_index(points: Terms, m: int, k: int, *, queries: Terms, own: NDArray[np.int64] | None, seed: int) -> Nearest:
    """Search by an index, wider until few neighbors are missed; the best of what was found."""
    n_queries = len(queries[0])
    few = np.random.default_rng(seed).choice(n_queries, min(n_queries, _CHECKED), replace=False)
    _, truth = _compared(points, m, k, queries=queries, own=own, rows=few)
    best = Nearest(np.zeros((n_queries, k), np.int64), np.full((n_queries, k), np.inf), "index", -1.0)
    for candidates in _candidates(points, m, queries=queries, own=own, seed=seed):
        index, distance = ranked(points, candidates, k, queries=queries, own=own)
        lacking = np.flatnonzero(np.isinf(distance[:, -1]))
        if lacking.size:
            index[lacking], distance[lacking] = _compared(points, m, k, queries=queries, own=own, rows=lacking)
        recall = float((distance[few] <= truth[:, -1:] * (1 + _ROUNDING)).mean())
        if recall > best.recall:
            best = Nearest(index, distance, "index", recall)
        if recall >= LEAST_RECALL:
            break
    return best


def _candidates(
    points: Terms, m: int, *, queries: Terms, own: NDArray[np.int64] | None, seed: int
) -> Iterator[NDArray[np.int64]]:
    """Candidates of an ever wider search."""
    if own is not None:
        for wider in _WIDER:
            yield Index(points, n_candidates=wider * m, seed=seed).of_points()
        return
    index = Index(points, n_candidates=m, seed=seed)
    for effort in _EFFORTS:
        yield index.of_queries(queries, m, effort=effort)


def _compared(
    points: Terms, m: int, k: int, *, queries: Terms, own: NDArray[np.int64] | None, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest points of some queries, compared with all points."""
    some, itself = [term[rows] for term in queries], None if own is None else own[rows]
    return ranked(points, closest(points, m, queries=some, own=itself), k, queries=some, own=itself)
