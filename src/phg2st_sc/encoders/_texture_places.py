"""Texture features of many places of one image: every region of it is read and filtered once, whatever number of tiles it is in.

The image is seen on one grid that begins at its corner, at the pixel size of the tiles, and is cut into blocks that do not
depend on where the places are. So a place has the same features, to the bit, whichever other places are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, Tiles
from ._texture_channels import CELLS, STEP, see
from ._texture_pooled import Places, describe_places
from ._texture_read import LEAST_BLACK, BlackAreas, read_scaled
from ._texture_sums import Windows, fold, window_sums

_BLOCK = 600
"""Side of a block in fourths (of the resolution along a side): fifteen tiles."""
_MARGIN = 12
"""Fourths around the tiles of a block that filters look at: the widest blur reaches 10."""


@dataclass(frozen=True)
class Grid:
    """The image as tiles of one size see it, in fourths: steps of four pixels of a tile.

    Attributes
    ----------
    image
        An opened image.
    pixel
        Full-resolution pixels that one pixel of a tile spans along a side.
    side
        Side of a tile in fourths.
    """

    image: SlideImage
    pixel: float
    side: int

    @classmethod
    def of(cls, image: SlideImage, tiles: Tiles, input_px: int) -> Grid:
        """Return the grid on which tiles have ``input_px`` pixels along a side."""
        return cls(image, tiles.size_px / input_px, input_px // STEP)

    def starts(self, tiles: Tiles) -> NDArray[np.int64]:
        """(t, 2) row and column, in fourths, at which every tile starts, to the nearest."""
        return np.rint(tiles.centers[:, ::-1] / (self.pixel * STEP) - self.side / 2).astype(np.int64)

    def blocks(self, starts: NDArray[np.int64]) -> Iterator[tuple[Block, NDArray[np.int64]]]:
        """Blocks that hold the middle of a tile, row by row, and which tiles; those far off the image are in none."""
        keys = (starts + self.side // 2) // _BLOCK
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        cuts = np.flatnonzero(np.any(np.diff(keys[order], axis=0) != 0, axis=1)) + 1
        for index in np.split(order, cuts) if len(order) else []:
            block = self._block(keys[index[0]])
            last = starts[index] + self.side + _MARGIN
            fits = np.all((starts[index] - _MARGIN >= block.first) & (last <= block.last), axis=1)
            if fits.any():
                yield block, index[fits]

    def _block(self, key: NDArray[np.int64]) -> Block:
        around = self.side // 2 + _MARGIN
        beyond = np.array([self.side + _MARGIN] * 2)
        size = np.ceil(np.array([self.image.height, self.image.width]) / (self.pixel * STEP)).astype(np.int64)
        first = np.maximum(key * _BLOCK - around, -beyond)
        last = np.minimum((key + 1) * _BLOCK + around, size + beyond)
        # Cells of histograms are the same in every block.
        return Block(first // CELLS * CELLS, -(-last // CELLS) * CELLS)


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the grid: its first and last row and column, in fourths, with what filters need around it."""

    first: NDArray[np.int64]
    last: NDArray[np.int64]

    @property
    def n_pixels(self) -> int:
        """Pixels of it."""
        return int(np.prod(np.maximum(self.last - self.first, 0))) * STEP**2


def covered_pixels(image: SlideImage, tiles: Tiles, input_px: int) -> int:
    """Pixels, at the resolution of the tiles, that :func:`iter_places` looks at."""
    grid = Grid.of(image, tiles, input_px)
    return sum(block.n_pixels for block, _ in grid.blocks(grid.starts(tiles)))


def iter_places(
    image: SlideImage, tiles: Tiles, input_px: int, pixel_um: float, names: tuple[str, ...]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Features of tiles, block by block; tiles that need to be looked at one by one are left out.

    These are tiles with black areas of which it depends on the tile whether they are padding, and tiles far off the image.

    Parameters
    ----------
    image
        An opened image.
    tiles
        Where, and of what size.
    input_px
        Side of a tile in pixels; a multiple of four.
    pixel_um
        What a pixel of a tile spans.
    names
        Which statistics, in order.

    Yields
    ------
    (b,) int64 positions in ``tiles`` and their (b, features) float32.
    """
    grid = Grid.of(image, tiles, input_px)
    starts = grid.starts(tiles)
    for block, index in grid.blocks(starts):
        distinct, which = np.unique(starts[index] - block.first, axis=0, return_inverse=True)
        top, left = distinct.T
        pixels, doubtful = _read(grid, block, top, left)
        clear = ~doubtful[which.ravel()]
        if clear.any():
            features = _features(pixels, Places.at(top, left, input_px), pixel_um, names)
            yield index[clear], features[which.ravel()[clear]]


def _read(
    grid: Grid, block: Block, top: NDArray[np.int64], left: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Pixels of a block, its canvas white; and of which tiles these are not those that they would have cut out."""
    corners, tile_px = (*(block.first * STEP), *(block.last * STEP)), grid.side * STEP
    pixels = read_scaled(grid.image, *corners, pixel=grid.pixel)
    black = BlackAreas.of(pixels, tile_px)
    if black is None:
        return pixels, np.zeros(len(top), dtype=bool)
    if black.canvas.any():
        pixels = read_scaled(grid.image, *corners, pixel=grid.pixel, canvas=black.canvas)
    windows = Windows(top, left, grid.side)
    canvas, inner = (window_sums(fold(fold(mask.astype(np.float32))), windows) for mask in black)
    return pixels, (inner > 0) | ((canvas > 0) & (canvas < LEAST_BLACK * tile_px**2))


def _features(
    pixels: NDArray[np.uint8], places: Places, pixel_um: float, names: tuple[str, ...]
) -> NDArray[np.float32]:
    column = {name: i for i, name in enumerate(names)}
    out = np.empty((len(places.fourths.top), len(names)), dtype=np.float32)
    for name, values in describe_places(see(pixels), places, pixel_um):
        out[:, column[name]] = values
    return np.nan_to_num(out, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
