"""Images that are arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._base import ImageLevel, check_box, downsample
from ._samples import Samples

_LOOKED_AT = 4_000_000


class ArrayImage:
    """Levels of numpy arrays sharing one axis order; converted box by box, never copied whole."""

    mpp: float | None = None
    bears_threads = True

    def __init__(self, arrays: Sequence[NDArray[Any]], axes: str, samples: Samples) -> None:
        self._arrays = list(arrays)
        self._axes = axes
        self._samples = samples
        self._y, self._x = axes.index("y"), axes.index("x")
        base = self._arrays[0].shape[self._y]
        self.where = samples.where
        self.levels = tuple(
            ImageLevel(a.shape[self._y], a.shape[self._x], downsample(base, a.shape[self._y])) for a in self._arrays
        )

    @property
    def height(self) -> int:
        """Height of the base level in pixels."""
        return self.levels[0].height

    @property
    def width(self) -> int:
        """Width of the base level in pixels."""
        return self.levels[0].width

    @property
    def has_transparent(self) -> bool:
        """Whether transparent pixels were among those that were read."""
        return self._samples.has_transparent

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box of a level; see :class:`SlideImage`."""
        check_box(self.levels[level], (y0, x0, y1, x1))
        if self._samples.unsure:
            self._look()
        index = [slice(None)] * len(self._axes)
        index[self._y], index[self._x] = slice(y0, y1), slice(x0, x1)
        return self._samples.rgb(self._arrays[level][tuple(index)], self._axes)

    def _look(self) -> None:
        coarsest = self._arrays[-1]
        step = int(np.ceil(np.sqrt(max(1.0, coarsest.size / _LOOKED_AT))))
        index = [slice(None)] * len(self._axes)
        index[self._y] = index[self._x] = slice(None, None, step)
        self._samples.look(coarsest[tuple(index)])

    def close(self) -> None:
        """Nothing to release: the arrays belong to the caller."""
