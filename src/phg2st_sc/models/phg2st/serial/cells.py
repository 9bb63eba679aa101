"""Spots of a large section gathered into cells of a square grid: enough to lay sections on one another, and few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
_Number = TypeVar("_Number", bound=np.floating[Any])

MAX_CELLS = 5000
"""Spots up to which each is a cell of its own: those of the usual capture areas."""
_GROWTH = 1.05


@dataclass(frozen=True, eq=False)
class Cells:
    """Which spots lie in which cell.

    Attributes
    ----------
    positions
        (m, 2) mean place of the spots of every cell, in lattice pitches.
    spacing
        Edge of a cell in pitches; 1 where every spot is a cell.
    membership
        (m, n) ones where a spot lies in a cell; ``None`` where every spot is a cell.
    """

    positions: Array
    spacing: float = 1.0
    membership: sparse.csr_matrix | None = None

    @classmethod
    def of(cls, positions: Array, *, most: int = MAX_CELLS) -> Cells:
        """The smallest cells, to within 5 %, of which no more than ``most`` hold a spot."""
        n = len(positions)
        if n <= most:
            return cls(positions)
        edge = float(np.sqrt(n / most))
        cell_of = _cell_of(positions, edge)
        while cell_of.max() >= most:
            edge *= _GROWTH
            cell_of = _cell_of(positions, edge)
        ones = np.ones(n, dtype=np.float32)
        membership = sparse.csr_matrix((ones, (cell_of, np.arange(n))))
        return cls(membership @ positions / _sizes(membership), edge, membership)

    def sums(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """(m, c) sums over the spots of every cell of (n, c) values."""
        return values if self.membership is None else np.asarray(self.membership @ values, dtype=values.dtype)

    def means(self, values: Array) -> Array:
        """(m, c) means over the spots of every cell of (n, c) values."""
        return values if self.membership is None else self.sums(values) / _sizes(self.membership)


def _cell_of(positions: Array, edge: float) -> NDArray[np.int64]:
    """Number of the cell of every spot, among the cells that hold one."""
    column, row = np.floor((positions - positions.min(axis=0)) / edge).astype(np.int64).T
    return np.asarray(np.unique(row * (column.max() + 1) + column, return_inverse=True)[1], dtype=np.int64)


def _sizes(membership: sparse.csr_matrix) -> Array:
    return np.diff(membership.indptr)[:, None].astype(np.float64)
