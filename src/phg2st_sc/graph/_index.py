"""Near rows from an approximate index, PyNNDescent's: candidates only, ranked and checked elsewhere.

PyNNDescent and numba load when an index is first built, and compile for about 30 seconds then. One thread: with several, the
candidates would depend on their number.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._pairs import Terms

_REDUCED = 64
"""Dimensions from which a term is reduced to as many principal components to look for candidates."""


class Index:
    """Index of points under the Euclidean distance of one term, or under the sum of those of two.

    Parameters
    ----------
    points
        Terms of the points; of two, the first has two columns. Those of many are searched by their principal components.
    n_candidates
        Near points to hold for each point.
    seed
        Same seed, same candidates.
    """

    def __init__(self, points: Terms, *, n_candidates: int, seed: int) -> None:
        from pynndescent import NNDescent

        self._axes = [_axes(term, seed) for term in points]
        joint = self._joint(points)
        self._index = NNDescent(
            joint,
            metric=_sum_of_lengths() if len(points) > 1 else "euclidean",
            n_neighbors=min(n_candidates + 1, len(joint)),
            random_state=seed,
            n_jobs=1,
        )

    def of_points(self) -> NDArray[np.int64]:
        """(n, m) near points of every point; a point stands for itself where one is lacking."""
        found = self._index.neighbor_graph[0].astype(np.int64)
        return np.where(found < 0, np.arange(len(found))[:, None], found)

    def of_queries(self, queries: Terms, m: int, *, effort: float) -> NDArray[np.int64]:
        """(q, m) near points of other rows; the first point where one is lacking.

        ``effort`` widens the search: 0.1 is the library's, 0.3 takes about four times as long.
        """
        found = self._index.query(self._joint(queries), k=m, epsilon=effort)[0].astype(np.int64)
        return np.maximum(found, 0)

    def _joint(self, terms: Terms) -> NDArray[np.float32]:
        parts = [term if axes is None else term @ axes for term, axes in zip(terms, self._axes, strict=True)]
        return np.ascontiguousarray(np.hstack(parts), dtype=np.float32)


def _axes(term: NDArray[np.float64], seed: int) -> NDArray[np.float64] | None:
    if term.shape[1] <= _REDUCED:
        return None
    from sklearn.decomposition import PCA

    found = PCA(_REDUCED, svd_solver="randomized", random_state=seed).fit(term).components_.T
    return np.asarray(found, dtype=np.float64)


@cache
def _sum_of_lengths() -> Any:
    """Length of the first two differences, plus length of the others."""
    import numba

    # counters of 16 bits and sums of 32, as in PyNNDescent's own distances: the compiler turns the loops into vectors
    kinds = {"first": numba.float32, "second": numba.float32, "gap": numba.float32, "i": numba.uint16}

    @numba.njit(fastmath=True, nogil=True, locals=kinds)  # type: ignore[misc]
    def sum_of_lengths(x: Any, y: Any) -> Any:
        first = second = 0.0
        for i in range(2):
            gap = x[i] - y[i]
            first += gap * gap
        for i in range(2, x.shape[0]):
            gap = x[i] - y[i]
            second += gap * gap
        return np.sqrt(first) + np.sqrt(second)

    return sum_of_lengths
