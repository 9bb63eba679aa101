"""The held-out spots of one section, checked and aligned once for all targets and methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ._targets import Counts, divided, neighbor_operator, spot_values

MIN_SPOTS = 3


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out spots with at least one count over the panel.

    Attributes
    ----------
    counts
        (n, G) raw counts, CSC or dense.
    totals, depths
        (n,) totals over all genes, and over the panel.
    kept
        (given spots,) bool: which of the given spots these are.
    operator
        (n, n) neighbourhoods, see :func:`~phg2st_sc.metrics.neighbor_operator`.
    sizes
        (n,) spots in each.
    positions
        (n, 2) spot centres in lattice pitches.
    """

    counts: Counts
    totals: NDArray[np.float64]
    depths: NDArray[np.float64]
    kept: NDArray[np.bool_]
    operator: sparse.csr_array
    sizes: NDArray[np.float64]
    positions: NDArray[np.float64]

    @classmethod
    def prepare(cls, counts: Counts, totals: ArrayLike, positions: ArrayLike, *, radius: float) -> HeldOut:
        """Check the shapes and leave out spots without counts."""
        matrix = sparse.csr_array(counts) if sparse.issparse(counts) else np.asarray(counts)
        if matrix.ndim != 2:
            msg = f"`counts` must be (held-out spots, genes); its shape is {matrix.shape}."
            raise ValueError(msg)
        n = matrix.shape[0]
        points = np.asarray(positions, dtype=np.float64)
        if points.shape != (n, 2):
            msg = f"`positions` must be ({n}, 2), one row for each held-out spot; its shape is {points.shape}."
            raise ValueError(msg)
        total = spot_values(totals, "totals", n)
        depths = spot_values(matrix.sum(axis=1, dtype=np.float64), "counts", n)
        if (total < depths * (1 - 1e-6)).any():
            msg = "`totals` are over all genes: they cannot be smaller than the spots' totals over the panel."
            raise ValueError(msg)
        kept = depths > 0
        if kept.sum() < MIN_SPOTS:
            msg = f"Only {kept.sum()} held-out spots have counts; a score needs {MIN_SPOTS} or more: use fewer prompts."
            raise ValueError(msg)
        rows = matrix if kept.all() else matrix[kept]
        counted = sparse.csc_array(rows) if sparse.issparse(rows) else rows
        points = points[kept]
        operator = neighbor_operator(points, radius=radius)
        return cls(counted, total[kept], depths[kept], kept, operator, operator.sum(axis=1), points)

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean of (n, G) values over each neighbourhood."""
        return divided(self.operator @ values, self.sizes)

    @property
    def n_spots(self) -> int:
        """Number of spots that are scored."""
        return int(self.kept.sum())

    @property
    def n_empty(self) -> int:
        """Number of held-out spots left out because they have no count."""
        return int((~self.kept).sum())

    @property
    def n_genes(self) -> int:
        """Size of the panel."""
        return int(self.counts.shape[1])

    def align(self, values: ArrayLike, name: str) -> NDArray[np.floating]:
        """Rows of a prediction that are scored."""
        array = np.asarray(values)
        if array.shape != (self.kept.size, self.n_genes):
            msg = f"`{name}` must be {(self.kept.size, self.n_genes)} (held-out spots, genes); it is {array.shape}."
            raise ValueError(msg)
        return array if self.kept.all() else array[self.kept]
