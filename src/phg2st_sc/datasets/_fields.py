"""Smooth random fields on a regular grid, in µm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """A grid over a rectangle; the centre of cell (i, j) is at ((j + 0.5) * step, (i + 0.5) * step) µm."""

    height_um: float
    width_um: float
    step: float

    @property
    def shape(self) -> tuple[int, int]:
        return round(self.height_um / self.step), round(self.width_um / self.step)

    def axes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Centres of the cells in µm, y as a column and x as a row."""
        height, width = self.shape
        y = ((np.arange(height, dtype=np.float32) + 0.5) * self.step)[:, None]
        return y, ((np.arange(width, dtype=np.float32) + 0.5) * self.step)[None, :]

    def random(self, rng: np.random.Generator, length_um: float) -> NDArray[np.float32]:
        """Gaussian field of zero mean and unit variance that varies over `length_um`.

        It is drawn no finer than its length asks for, which costs the same on every grid.
        """
        drawn = Grid(self.height_um, self.width_um, max(self.step, length_um / 4))
        field = gaussian_filter(rng.standard_normal(drawn.shape, dtype=np.float32), length_um / drawn.step)
        if drawn.shape != self.shape:
            field = self.resize(field, self.shape)
        return (field - field.mean()) / field.std()

    def sample(self, field: NDArray[np.float32], points_um: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values of a field at points (x, y) in µm, linearly interpolated."""
        index = points_um[:, ::-1].T / self.step - 0.5
        return map_coordinates(field.astype(np.float64), index, order=1, mode="nearest")

    def smooth(self, field: NDArray[np.float32], length_um: float) -> NDArray[np.float32]:
        """Gaussian average over `length_um`."""
        return gaussian_filter(field, length_um / self.step)

    def resize(self, field: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
        """Field on another number of cells over the same rectangle, by cubic interpolation."""
        picture = Image.fromarray(np.ascontiguousarray(field, dtype=np.float32))
        return np.array(picture.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))
