"""Images stored in chunks (zarr, TIFF, dask): every chunk is decoded once while it stays in a small cache."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_user
from ._base import ImageLevel, check_box, downsample
from ._pixels import check_dtype, to_rgb

_CACHE_BYTES = 256 * 2**20
_HUGE_PIXELS = 64 * 10**6


class ChunkedImage:
    """Levels of chunked array-likes (zarr or dask) sharing one axis order.

    Parameters
    ----------
    arrays
        One array-like per level, finest first, each with ``shape``, ``dtype`` and ``chunks``.
    axes
        ``"yx"``, ``"yxc"`` or ``"cyx"``.
    mpp
        µm per base pixel, where known.
    close
        Called by :meth:`close`.
    fix
        Applied to stored pixels before conversion (e.g. inversion of a white-is-zero scan).
    """

    def __init__(
        self,
        arrays: Sequence[Any],
        axes: str,
        *,
        mpp: float | None = None,
        close: Callable[[], None] | None = None,
        fix: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
    ) -> None:
        for array in arrays:
            check_dtype(array.dtype)
        self._arrays = list(arrays)
        self._axes = axes
        self._y, self._x = axes.index("y"), axes.index("x")
        self._close, self._fix = close, fix
        self._edges = [(_edges(a, self._y), _edges(a, self._x)) for a in self._arrays]
        self._cache: OrderedDict[tuple[int, int, int], NDArray[np.uint8]] = OrderedDict()
        self._warned = False
        self.mpp = mpp
        self.levels = self._describe()

    def _describe(self) -> tuple[ImageLevel, ...]:
        base = self._arrays[0].shape[self._y]
        levels = []
        for array, (ys, xs) in zip(self._arrays, self._edges, strict=True):
            height, width = int(array.shape[self._y]), int(array.shape[self._x])
            chunk = (int(np.diff(ys).max()), int(np.diff(xs).max()))
            levels.append(ImageLevel(height, width, downsample(base, height), chunk))
        return tuple(levels)

    @property
    def height(self) -> int:
        """Height of the base level in pixels."""
        return self.levels[0].height

    @property
    def width(self) -> int:
        """Width of the base level in pixels."""
        return self.levels[0].width

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box of a level; see :class:`SlideImage`."""
        check_box(self.levels[level], (y0, x0, y1, x1))
        self._warn_if_huge(level)
        ys, xs = self._edges[level]
        rows, cols = _covering(ys, y0, y1), _covering(xs, x0, x1)
        chunks = self._load([(level, r, c) for r in rows for c in cols])
        out = np.empty((y1 - y0, x1 - x0, 3), dtype=np.uint8)
        for (_, r, c), chunk in chunks.items():
            top, left = max(y0, ys[r]), max(x0, xs[c])
            bottom, right = min(y1, ys[r + 1]), min(x1, xs[c + 1])
            part = chunk[top - ys[r] : bottom - ys[r], left - xs[c] : right - xs[c]]
            out[top - y0 : bottom - y0, left - x0 : right - x0] = part
        return out

    def _load(self, keys: list[tuple[int, int, int]]) -> dict[tuple[int, int, int], NDArray[np.uint8]]:
        missing = [key for key in keys if key not in self._cache]
        for key, stored in zip(missing, _compute([self._lazy(key) for key in missing]), strict=True):
            fixed = stored if self._fix is None else self._fix(stored)
            self._cache[key] = to_rgb(fixed, self._axes)
        found = {}
        for key in keys:
            self._cache.move_to_end(key)
            found[key] = self._cache[key]
        self._trim()
        return found

    def _lazy(self, key: tuple[int, int, int]) -> Any:
        level, row, col = key
        ys, xs = self._edges[level]
        index = [slice(None)] * len(self._axes)
        index[self._y] = slice(int(ys[row]), int(ys[row + 1]))
        index[self._x] = slice(int(xs[col]), int(xs[col + 1]))
        return self._arrays[level][tuple(index)]

    def _trim(self) -> None:
        size = sum(chunk.nbytes for chunk in self._cache.values())
        while size > _CACHE_BYTES and len(self._cache) > 1:
            size -= self._cache.popitem(last=False)[1].nbytes

    def _warn_if_huge(self, level: int) -> None:
        shape = self.levels[level]
        if self._warned or shape.chunks != (shape.height, shape.width) or shape.height * shape.width < _HUGE_PIXELS:
            return
        self._warned = True
        msg = (
            f"The image is stored as one chunk of {shape.height} x {shape.width} pixels: the first read decodes all of "
            "it. Write it in chunks (e.g. `sdata.write(...)` after `Image2DModel.parse(..., chunks=1024)`) and read it "
            "back to keep memory low."
        )
        warn_user(msg)

    def close(self) -> None:
        """Drop decoded chunks and close the file."""
        self._cache.clear()
        if self._close is not None:
            self._close()


def _compute(parts: list[Any]) -> list[NDArray[Any]]:
    if parts and hasattr(parts[0], "dask"):
        import dask

        parts = list(dask.compute(*parts))
    return [np.asarray(part) for part in parts]


def _edges(array: Any, axis: int) -> NDArray[np.int64]:
    """Chunk borders along an axis, from zarr's one size or from dask's list of sizes."""
    size, chunk = int(array.shape[axis]), array.chunks[axis]
    if isinstance(chunk, tuple):
        return np.concatenate([[0], np.cumsum(chunk)]).astype(np.int64)
    return np.append(np.arange(0, size, int(chunk)), size).astype(np.int64)


def _covering(edges: NDArray[np.int64], start: int, stop: int) -> range:
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, stop, side="left"))
    return range(first, last)
