"""A product of two narrow matrices that is worked out at the rows that are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LowRank:
    """Values (n, G) of which all at once would not fit into memory.

    Attributes
    ----------
    scores
        (n, r) float32.
    genes
        (r, G).
    """

    scores: NDArray[np.float32]
    genes: Array

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.scores.shape[0], self.genes.shape[1]

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> Array:
        return np.asarray(self.scores[rows].astype(np.float64) @ self.genes)
