"""Where targets may lie: a raster of tissue or of the capture area, or a polygon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_CLOSE_PITCHES = 3.0
_REACH_PITCHES = 0.4
_CELLS_PER_PITCH = 8
_MOST_CELLS = 3000


class Region(Protocol):
    """What tells which places to take."""

    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest (x, y)."""
        ...

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Which of the (k, 2) places lie inside."""
        ...


@dataclass(frozen=True, eq=False)
class Raster:
    """A (h, w) mask whose pixel (row, col) spans ``origin + (col, row) * pixel`` to the next."""

    mask: NDArray[np.bool_]
    origin: Array
    pixel: Array

    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest (x, y)."""
        return self.origin, self.origin + self.pixel * self.mask.shape[::-1]

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Which of the (k, 2) places lie inside."""
        col, row = np.floor((points - self.origin) / self.pixel).astype(np.int64).T
        height, width = self.mask.shape
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
        inside[inside] = self.mask[row[inside], col[inside]]
        return np.asarray(inside, dtype=bool)


@dataclass(frozen=True, eq=False)
class Polygon:
    """A shapely geometry with an area."""

    geometry: Any

    def bounds(self) -> tuple[Array, Array]:
        """Smallest and largest (x, y)."""
        found = np.asarray(self.geometry.bounds, dtype=np.float64)
        return found[:2], found[2:]

    def contains(self, points: Array) -> NDArray[np.bool_]:
        """Which of the (k, 2) places lie inside or on the border."""
        import shapely

        return np.asarray(shapely.intersects_xy(self.geometry, points[:, 0], points[:, 1]), dtype=bool)


def capture_area(positions: Array, pitch: float) -> Raster:
    """Area of the measured spots: 0.4 pitches around them, gaps and bays narrower than six pitches and all holes filled."""
    from scipy import ndimage

    margin = (_CLOSE_PITCHES + 1.0) * pitch
    low, high = positions.min(axis=0) - margin, positions.max(axis=0) + margin
    cell = max(pitch / _CELLS_PER_PITCH, float((high - low).max()) / _MOST_CELLS)
    width, height = np.ceil((high - low) / cell).astype(np.int64) + 1
    away = np.ones((height, width), dtype=bool)
    # half a cell off, so that a spot is the centre of its cell where the cells fit the lattice
    col, row = np.rint((positions - low) / cell).astype(np.int64).T
    away[row, col] = False
    grown = ndimage.distance_transform_edt(away) * cell <= _CLOSE_PITCHES * pitch
    shrunk = ndimage.distance_transform_edt(grown) * cell > (_CLOSE_PITCHES - _REACH_PITCHES) * pitch
    return Raster(ndimage.binary_fill_holes(shrunk), low - cell / 2.0, np.full(2, cell))


def polygon(region: Any) -> Polygon:
    """Geometry from shapely, or a polygon from its (k, 2) corners.

    Raises
    ------
    TypeError
        If it is neither.
    ValueError
        If it has no area, or is not valid.
    """
    import shapely

    if not isinstance(region, shapely.Geometry):
        try:
            corners = np.asarray(region, dtype=np.float64)
        except (TypeError, ValueError):
            corners = np.empty(0)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            msg = (
                f"`region` is {region!r:.80}: pass 'tissue', 'capture', a shapely polygon, or its (k, 2) corners (x, y) "
                "in full-resolution pixels."
            )
            raise TypeError(msg)
        region = shapely.Polygon(corners)
    if not region.area > 0 or not region.is_valid:
        msg = (
            f"The polygon of `region` has an area of {region.area:g} and is "
            f"{'valid' if region.is_valid else 'not valid'} (do its edges cross?): `shapely.make_valid` may mend it."
        )
        raise ValueError(msg)
    return Polygon(region)
