"""Images stored in chunks (zarr, TIFF, dask): a chunk is decoded once while it is needed, as far as memory for it allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_user
from ._base import ImageLevel, check_box, downsample
from ._chunk_cache import Chunk, ChunkCache, Key
from ._files import check_size
from ._samples import Samples
from ._sweep import CACHE_BYTES

_HUGE_PIXELS = 64 * 10**6
_LEAST_BLANK = 256
_LOOKS = 3
_IN_TURN = ("sync", "synchronous", "single-threaded")
"""Schedulers of Dask that use no threads."""


class ChunkedImage:
    """Levels of chunked array-likes (zarr or dask) sharing one axis order. Several threads may read at a time.

    Parameters
    ----------
    arrays
        One array-like per level, finest first, each with ``shape``, ``dtype`` and ``chunks``.
    axes
        ``"yx"``, ``"yxc"`` or ``"cyx"``.
    samples
        What the stored values mean.
    mpp
        µm per base pixel, where known.
    close
        Called by :meth:`close`.
    absent
        Whether a chunk (level, row, column) has no data in the file; by default one is taken for such where all it holds
        is 0, which is what zarr returns for a chunk that was not written, or was lost.
    max_pixels
        Refuse chunks with more pixels; no limit where the chunks are the user's own.
    """

    bears_threads = True

    def __init__(
        self,
        arrays: Sequence[Any],
        axes: str,
        samples: Samples,
        *,
        mpp: float | None = None,
        close: Callable[[], None] | None = None,
        absent: Callable[[int, int, int], bool] | None = None,
        max_pixels: float | None = np.inf,
    ) -> None:
        self._arrays = list(arrays)
        self._axes = axes
        self._y, self._x = axes.index("y"), axes.index("x")
        self._samples, self._close, self._absent = samples, close, absent
        self._edges = [(_edges(a, self._y), _edges(a, self._x)) for a in self._arrays]
        self._cache = ChunkCache(CACHE_BYTES)
        self._warned = self._told_absent = False
        self.where, self.mpp = samples.where, mpp
        self.levels = self._describe()
        for array in self._arrays:
            check_size(_piece(array, self._y), _piece(array, self._x), self.where, max_pixels)

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

    @property
    def has_transparent(self) -> bool:
        """Whether transparent pixels were among those that were read."""
        return self._samples.has_transparent

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box of a level; see :class:`SlideImage`."""
        check_box(self.levels[level], (y0, x0, y1, x1))
        self._warn_if_huge(level)
        if self._samples.unsure:
            self._look()
        ys, xs = self._edges[level]
        rows, cols = _covering(ys, y0, y1), _covering(xs, x0, x1)
        chunks = self._cache.get([(level, r, c) for r in rows for c in cols], self._decode)
        out = np.empty((y1 - y0, x1 - x0, 3), dtype=np.uint8)
        for (_, r, c), chunk in chunks.items():
            top, left = max(y0, ys[r]), max(x0, xs[c])
            bottom, right = min(y1, ys[r + 1]), min(x1, xs[c + 1])
            part = chunk[top - ys[r] : bottom - ys[r], left - xs[c] : right - xs[c]]
            out[top - y0 : bottom - y0, left - x0 : right - x0] = part
        return out

    def _look(self) -> None:
        """Let the values of the coarsest level, at a few places, say what white is."""
        level = len(self._arrays) - 1
        rows, cols = (
            np.unique(np.linspace(0, len(edges) - 2, _LOOKS).astype(int)).tolist() for edges in self._edges[level]
        )
        parts = self._stored([(level, r, c) for r in rows for c in cols])
        self._samples.look(np.concatenate([part.ravel() for part in parts]))

    def expect(self, windows: NDArray[np.int64], levels: NDArray[np.int64]) -> None:
        """Tell which boxes (t, 4) (y0, x0, y1, x1) of levels (t,) are going to be read, and no others of these levels.

        Chunks are kept for as long as one of them needs it. Boxes may leave the image; without any, nothing is known again.
        """
        self._cache.expect({level: self._uses(level, windows[levels == level]) for level in np.unique(levels).tolist()})

    def _uses(self, level: int, windows: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many of the windows touch each chunk: (rows, columns)."""
        ys, xs = self._edges[level]
        top, left = np.maximum(windows[:, :2], 0).T
        bottom, right = np.minimum(windows[:, 2:], (ys[-1], xs[-1])).T
        inside = (top < bottom) & (left < right)
        rows = [np.searchsorted(ys, top[inside], "right") - 1, np.searchsorted(ys, bottom[inside], "left")]
        columns = [np.searchsorted(xs, left[inside], "right") - 1, np.searchsorted(xs, right[inside], "left")]
        steps = np.zeros((len(ys), len(xs)), dtype=np.int64)
        for i, row in enumerate(rows):
            for j, column in enumerate(columns):
                np.add.at(steps, (row, column), 1 if i == j else -1)
        return steps.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]

    def _decode(self, keys: list[Key]) -> list[Chunk]:
        absent = {key for key in keys if self._absent is not None and self._absent(*key)}
        present = [key for key in keys if key not in absent]
        stored = dict(zip(present, self._stored(present), strict=True))
        return [
            self._white(key) if key in absent or self._blank(stored[key]) else self._rgb(stored[key]) for key in keys
        ]

    def _rgb(self, stored: NDArray[Any]) -> Chunk:
        return self._samples.rgb(stored, self._axes)

    def _blank(self, stored: NDArray[Any]) -> bool:
        colors = stored.shape[self._axes.index("c")] if "c" in self._axes else 1
        large = stored.size >= _LEAST_BLANK * colors
        return self._absent is None and colors != 4 and large and not stored.any()

    def _white(self, key: Key) -> NDArray[np.uint8]:
        ys, xs = self._edges[key[0]]
        (top, bottom), (left, right) = ys[key[1] : key[1] + 2], xs[key[2] : key[2] + 2]
        if not self._told_absent:
            self._told_absent = True
            msg = (
                f"{self.where} has no data in rows {top}-{bottom}, columns {left}-{right} of level {key[0]}: they were never "
                "written, or lost. They are read as white background, and so are others like them. If there should be "
                "tissue, fetch or export the image again."
            )
            warn_user(msg)
        return np.full((bottom - top, right - left, 3), 255, dtype=np.uint8)

    def _stored(self, keys: list[Key]) -> list[NDArray[Any]]:
        at, parts = (0, 0, 0), []
        try:
            for at in keys:
                parts.append(self._lazy(at))
            return _compute(parts)
        except MemoryError:
            raise
        except Exception as error:  # codecs raise what they like
            level, row, col = at
            ys, xs = self._edges[level]
            msg = (
                f"{self.where} could not be decoded near row {ys[row]}, column {xs[col]} of level {level}: {error}. If the "
                "file is cut short or damaged, fetch it again; if it is of a kind that cannot be read, save it as a tiled TIFF "
                "with deflate or LZW compression."
            )
            raise ValueError(msg) from error

    def _lazy(self, key: Key) -> Any:
        level, row, col = key
        ys, xs = self._edges[level]
        index = [slice(None)] * len(self._axes)
        index[self._y] = slice(int(ys[row]), int(ys[row + 1]))
        index[self._x] = slice(int(xs[col]), int(xs[col + 1]))
        return self._arrays[level][tuple(index)]

    def _warn_if_huge(self, level: int) -> None:
        shape = self.levels[level]
        if self._warned or shape.chunks != (shape.height, shape.width) or shape.height * shape.width < _HUGE_PIXELS:
            return
        self._warned = True
        msg = (
            f"{self.where} is stored as one chunk of {shape.height} x {shape.width} pixels: the first read decodes all of "
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

        # not through a client of the user's, who need not mean it, and whose workers may not see the file
        asked = dask.config.get("scheduler", None)
        parts = list(dask.compute(*parts, scheduler=asked if asked in _IN_TURN else "threads"))
    return [np.asarray(part) for part in parts]


def _edges(array: Any, axis: int) -> NDArray[np.int64]:
    """Chunk borders along an axis, from zarr's one size or from dask's list of sizes."""
    size, chunk = int(array.shape[axis]), array.chunks[axis]
    if isinstance(chunk, tuple):
        return np.concatenate([[0], np.cumsum(chunk)]).astype(np.int64)
    return np.append(np.arange(0, size, int(chunk)), size).astype(np.int64)


def _piece(array: Any, axis: int) -> int:
    """Length of what is decoded at once, which may reach beyond the image."""
    chunk = array.chunks[axis]
    return int(max(chunk) if isinstance(chunk, tuple) else chunk)


def _covering(edges: NDArray[np.int64], start: int, stop: int) -> range:
    first = int(np.searchsorted(edges, start, side="right")) - 1
    last = int(np.searchsorted(edges, stop, side="left"))
    return range(first, last)
