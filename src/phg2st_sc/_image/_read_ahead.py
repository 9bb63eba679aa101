"""Tiles of an image in batches, read by threads while the last batch is being worked on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._threads import n_threads
from .._warn import Said, context_of_threads, say
from ._base import SlideImage
from ._read_tile import choose_level, resampled, windows
from ._sweep import sweep
from ._tiles import Tiles

_AHEAD = 1
_MOST_THREADS = 8

Batch = tuple[NDArray[np.int64], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class TileReads:
    """Tiles of one image that are to be read, of one size or several.

    Attributes
    ----------
    image
        An opened image.
    boxes
        (t, 4) float64 boxes (x0, y0, x1, y1), in pixels of their level.
    windows
        (t, 4) int64 pixels (top, left, bottom, right) that resampling takes.
    levels
        (t,) int64 levels of the image.
    out_px
        Side of a tile as it is read.
    order
        (t,) int64 in which they are read: that of the image's chunks.
    """

    image: SlideImage
    boxes: NDArray[np.float64]
    windows: NDArray[np.int64]
    levels: NDArray[np.int64]
    out_px: int
    order: NDArray[np.int64]

    @classmethod
    def of(cls, image: SlideImage, tiles: Tiles, out_px: int, fields: tuple[float, ...] = (1.0,)) -> TileReads:
        """Each tile, and then each as many times as wide as the other fields say: tile *i* of field *f* is number ``f * t + i``."""
        scaled = [tiles.scaled(field) for field in fields]
        levels = [choose_level(image, one.size_px / out_px) for one in scaled]
        boxes = np.concatenate(
            [one.boxes / image.levels[level].downsample for one, level in zip(scaled, levels, strict=True)]
        )
        edges = windows(boxes, out_px)
        by_tile = np.repeat(np.array(levels, dtype=np.int64), len(tiles))
        order = np.empty(len(boxes), dtype=np.int64)
        start = 0
        for level in sorted(set(levels)):
            rows = np.flatnonzero(by_tile == level)
            order[start : start + len(rows)] = rows[sweep(edges[rows], image.levels[level])]
            start += len(rows)
        return cls(image, boxes, edges, by_tile, out_px, order)

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.boxes)

    def batches(self, batch_size: int | Callable[[], int], *, start: int = 0) -> Generator[Batch]:
        """Read them in order, from place ``start`` of it on; the next batch while the last one is worked on.

        The size of a batch may be asked for anew each time.

        Yields
        ------
        (b,) int64 numbers of tiles, and the (b, out_px, out_px, 3) uint8 tiles.
        """
        order = self.order[start:]
        if not len(order):
            return
        self._read(int(order[0]))  # settles what a first read settles, such as the value of white
        self._announce(order)
        said: Said = {}
        context, threads = context_of_threads(said), ThreadPoolExecutor(_threads(self.image))
        ahead: deque[tuple[NDArray[np.int64], list[Future[NDArray[np.uint8]]]]] = deque()
        try:
            first = 0
            while first < len(order):
                index = order[first : first + (batch_size if isinstance(batch_size, int) else batch_size())]
                first += len(index)
                ahead.append((index, [threads.submit(context.copy().run, self._read, int(i)) for i in index]))
                if len(ahead) > _AHEAD:
                    yield _finished(*ahead.popleft(), said)
            while ahead:
                yield _finished(*ahead.popleft(), said)
        finally:
            threads.shutdown(cancel_futures=True)
            self._announce(order[:0])

    def _read(self, number: int) -> NDArray[np.uint8]:
        top, left, bottom, right = self.windows[number].tolist()
        level = int(self.levels[number])
        box, window = self.boxes[number], (top, left, bottom, right)
        return resampled(self.image, box, window, self.out_px, level=level, black_padding=False)

    def _announce(self, order: NDArray[np.int64]) -> None:
        expect = getattr(self.image, "expect", None)
        if expect is not None:
            expect(self.windows[order], self.levels[order])


def _threads(image: SlideImage) -> int:
    """Readers beside the thread that works on the tiles; one where an image of the user's may not bear several."""
    if not getattr(image, "bears_threads", False):
        return 1
    return min(max(n_threads() - 1, 1), _MOST_THREADS)


def _finished(index: NDArray[np.int64], tiles: list[Future[NDArray[np.uint8]]], said: Said) -> Batch:
    batch = np.stack([tile.result() for tile in tiles])
    say(said)
    return index, batch


def iter_tiles(image: SlideImage, tiles: Tiles, out_px: int, *, batch_size: int = 64) -> Iterator[Batch]:
    """Read tiles in batches that follow the chunks of the image.

    Parameters
    ----------
    image
        An opened image.
    tiles
        Which tiles to read.
    out_px
        Side of the returned tiles in pixels.
    batch_size
        Tiles per batch.

    Yields
    ------
    (b,) int64 positions in ``tiles`` and the (b, out_px, out_px, 3) uint8 tiles.
    """
    yield from TileReads.of(image, tiles, out_px).batches(batch_size)
