"""The tiles around each spot: on one grid that the spots of a slide share, or centred on every spot."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._base import SlideImage
from ._tiles import Tiles, inside_image


def context_grid(
    centers: NDArray[np.float64], size_px: float, side: int, image: SlideImage
) -> tuple[Tiles, NDArray[np.int32]]:
    """Lay one tile grid over a slide and give every spot its block of cells.

    The grid has the spacing of a tile and is anchored to the lattice: one cell is centred exactly on the topmost,
    leftmost spot. A spot's block is ``side`` x ``side`` cells around the cell nearest its centre (at most half a tile
    off), so neighbouring spots share cells and every cell is encoded once.

    Parameters
    ----------
    centers
        (n, 2) spot centres (x, y) in full-resolution pixels.
    size_px
        Side of a tile in full-resolution pixels.
    side
        Odd number of tiles along a side of the block.
    image
        Cells whose centre lies outside it are left out.

    Returns
    -------
    The distinct tiles, row by row, and the (n, side²) int32 index of each spot's block, rows top to bottom; -1 =
    outside the image.
    """
    anchor = topmost_left(centers)
    cells, of_spot = distinct_cells(np.rint((centers - anchor) / size_px))
    blocks = cells[:, None] + block_offsets(side)[None]
    distinct, number = distinct_cells(blocks.reshape(-1, 2))
    positions = distinct * size_px + anchor
    inside = inside_image(positions, image)
    renumber = np.where(inside, np.cumsum(inside) - 1, -1).astype(np.int32)
    return Tiles(positions[inside], size_px), renumber[number].reshape(len(cells), side * side)[of_spot]


def distinct_cells(cells: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct cells (m, 2) (x, y) of a lattice, row by row, and which of them each of the (n, 2) is."""
    distinct, number = np.unique(cells[:, ::-1].astype(np.int64), axis=0, return_inverse=True)
    return distinct[:, ::-1], number.ravel()


def context_blocks(
    centers: NDArray[np.float64], size_px: float, side: int, image: SlideImage
) -> tuple[Tiles, NDArray[np.int32]]:
    """Give every spot its own block, centred exactly on it; the same form of result as :func:`context_grid`."""
    positions = (centers[:, None, :] + block_offsets(side)[None] * size_px).reshape(-1, 2)
    inside = inside_image(positions, image)
    index = np.where(inside, np.cumsum(inside) - 1, -1).reshape(len(centers), side * side)
    return Tiles(positions[inside], size_px), index.astype(np.int32)


def topmost_left(centers: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2,) centre of the topmost spot, of those the leftmost, that a lattice of tiles is anchored to."""
    return centers[np.lexsort((centers[:, 0], centers[:, 1]))[0]]


def block_offsets(side: int) -> NDArray[np.int64]:
    """(side², 2) steps (x, y) of a block around its centre, rows top to bottom."""
    if side < 1 or side % 2 == 0:
        msg = f"`context` must be an odd number of tiles along a side (or None), got {side!r}."
        raise ValueError(msg)
    steps = np.arange(side) - side // 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])
