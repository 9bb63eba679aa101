"""Which of some points lies nearest to a place, looked up on a fine grid: quick enough to be asked for a thousand poses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]

_FINENESS = 9
"""Steps of the grid within the reach: a point is found nearest up to a fourteenth of the reach too far away."""


@dataclass(frozen=True, eq=False)
class Raster:
    """Nearest point by grid node.

    Attributes
    ----------
    nearest
        (rows, columns) int32 number of the nearest point, -1 where none is within reach.
    low
        (2,) place of the first node.
    step
        Distance of the nodes.
    """

    nearest: NDArray[np.int32]
    low: Array
    step: float

    @classmethod
    def of(cls, points: Array, reach: float) -> Raster:
        """Raster of (m, 2) points, as far around them as they reach."""
        step = reach / _FINENESS
        low = points.min(axis=0) - reach
        n_columns, n_rows = np.ceil((points.max(axis=0) + reach - low) / step).astype(np.int64) + 1
        x, y = np.meshgrid(low[0] + step * np.arange(n_columns), low[1] + step * np.arange(n_rows))
        distance, nearest = cKDTree(points).query(np.column_stack([x.ravel(), y.ravel()]), distance_upper_bound=reach)
        found = np.where(np.isfinite(distance), nearest, -1).astype(np.int32)
        return cls(found.reshape(n_rows, n_columns), low, step)

    def __call__(self, places: Array) -> NDArray[np.int32]:
        """(n,) number of the point that is nearest to each place, -1 where none is within reach."""
        n_rows, n_columns = self.nearest.shape
        column, row = np.rint((places - self.low) / self.step).astype(np.int64).T
        inside = (column >= 0) & (column < n_columns) & (row >= 0) & (row < n_rows)
        found = np.full(len(places), -1, dtype=np.int32)
        found[inside] = self.nearest[row[inside], column[inside]]
        return found
