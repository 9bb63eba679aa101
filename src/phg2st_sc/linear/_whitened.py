"""Whitened rates of very many prompts and genes: worked out of the counts for the rows or genes that are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._rates import RateScale

Array = NDArray[np.float64]

_ROWS = 256


@dataclass(frozen=True, eq=False)
class WhitenedCounts:
    """(p, G) whitened rates that are held nowhere; whatever computes with arrays takes them, and makes them.

    Attributes
    ----------
    scale
        Levels of the genes.
    counts
        (p, G) of the prompts.
    totals
        (p,) of the prompts.
    """

    scale: RateScale
    counts: NDArray[np.float32]
    totals: Array

    # numpy leaves it to the methods below, which make a part at a time
    __array_ufunc__ = None

    @property
    def shape(self) -> tuple[int, int]:
        """Prompts and genes."""
        return self.counts.shape[0], self.counts.shape[1]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them."""
        return np.asarray(self.scale.whiten(self.counts, self.totals), dtype=dtype)

    def __getitem__(self, which: Any) -> Array:
        """Some rows, or, with two indices, some genes of some rows."""
        rows, genes = which if isinstance(which, tuple) else (which, slice(None))
        return self.scale.of_genes(genes).whiten(self.counts[rows][:, genes], self.totals[rows])

    def __matmul__(self, vectors: Array) -> Array:
        """(p, k) sums of genes."""
        return self.scale.components(self.counts, self.totals, vectors, np.arange(self.shape[0]))

    def __rmatmul__(self, weights: Array) -> Array:
        """Sums of rows."""
        out = np.zeros((*weights.shape[:-1], self.shape[1]))
        for start in range(0, self.shape[0], _ROWS):
            rows = slice(start, start + _ROWS)
            out += weights[..., rows] @ self[rows]
        return out

    def __sub__(self, other: Array) -> Array:
        """Less something of their shape."""
        return np.asarray(np.asarray(self) - other)

    def __truediv__(self, other: Array) -> Array:
        """Over something of their shape."""
        return np.asarray(np.asarray(self) / other)

    def __mul__(self, other: Array) -> Array:
        """Times something of their shape."""
        return np.asarray(np.asarray(self) * other)

    __rmul__ = __mul__

    def copy(self) -> Array:
        """All of them, to be changed."""
        return np.asarray(self)
