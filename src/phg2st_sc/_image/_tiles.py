"""Physical tile geometry (µm, mpp) to pixel boxes, and a batched reader that follows the chunks of the image.

Coordinates are continuous full-resolution pixels (x, y); pixel *i* spans [i, i + 1). A tile is resampled once,
antialiased, straight from its exact (fractional) box to the encoder's input size, so it is centred on its spot to a
fraction of a pixel. What lies beyond the image is white, the background of a brightfield scan, and so is a black canvas.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import is_positive
from .._warn import warn_user
from ._base import ImageLevel, SlideImage
from ._black import without_padding

WHITE = 255
_LEVEL_SLACK = 1.01
_LEAST_PX, _FEW_PX = 2.0, 8.0


@dataclass(frozen=True, eq=False)
class Tiles:
    """Square tiles of one size on one image.

    Attributes
    ----------
    centers
        (t, 2) float64 tile centres (x, y) in full-resolution pixels.
    size_px
        Side of a tile in full-resolution pixels, not rounded.
    """

    centers: NDArray[np.float64]
    size_px: float

    def __len__(self) -> int:
        """Number of tiles."""
        return int(self.centers.shape[0])

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(t, 4) float64 boxes (x0, y0, x1, y1) in full-resolution pixels."""
        half = self.size_px / 2.0
        return np.hstack([self.centers - half, self.centers + half])

    def beyond(self, image: SlideImage) -> NDArray[np.bool_]:
        """(t,) which tiles reach beyond the image, and are padded with white there."""
        x0, y0, x1, y1 = self.boxes.T
        return (x0 < 0) | (y0 < 0) | (x1 > image.width) | (y1 > image.height)

    def scaled(self, factor: float) -> Tiles:
        """Return tiles with the same centres and a side ``factor`` times as long."""
        return Tiles(self.centers, self.size_px * factor)


def tile_pixels(tile_um: float, mpp: float) -> float:
    """Side of a tile in full-resolution pixels.

    Examples
    --------
    >>> tile_pixels(112, 0.5)
    224.0
    """
    check_length("tile_um", tile_um)
    check_length("mpp", mpp)
    return float(tile_um) / float(mpp)


def check_length(name: str, value: Any) -> float:
    """Return a length in µm, or say which argument is none."""
    if not is_positive(value):
        msg = f"`{name}` must be a number of µm above 0, got {value!r}."
        raise ValueError(msg)
    return float(value)


def check_resolution(size_px: float, image: SlideImage, *, slide: str, tile_um: float) -> None:
    """Refuse tiles that are no picture of tissue at all, and warn of those that show too little of it.

    Raises
    ------
    ValueError
        If a tile has fewer than 2 pixels along a side, or is larger than the image.
    """
    said = (
        f"Slide {slide!r}: a tile of {tile_um:g} µm spans {size_px:.3g} pixels at {tile_um / size_px:.4g} µm per pixel"
    )
    if size_px < _LEAST_PX or size_px > max(image.height, image.width):
        msg = (
            f"{said}, on an image of {image.width} x {image.height}: µm per pixel cannot be right, or `tile_um=`. Pass "
            "`mpp=` (about 0.25 to 1 for a scan), or `pitch_um=`."
        )
        raise ValueError(msg)
    if size_px < _FEW_PX:
        msg = f"{said}, too few to show tissue: pass the full-resolution image, check `mpp=`, or enlarge `tile_um=`."
        warn_user(msg)


def choose_level(image: SlideImage, pixels_per_output: float) -> int:
    """Return the coarsest level that still has at least one pixel per output pixel."""
    fitting = [i for i, level in enumerate(image.levels) if level.downsample <= pixels_per_output * _LEVEL_SLACK]
    return max(fitting, key=lambda i: image.levels[i].downsample, default=0)


def chunk_order(centers: NDArray[np.float64], level: ImageLevel) -> NDArray[np.int64]:
    """Order in which to read tiles so that those of one chunk follow each other; rows of chunks, top to bottom."""
    height, width = level.chunks or (1024, 1024)
    rows = np.floor(centers[:, 1] / level.downsample / height)
    cols = np.floor(centers[:, 0] / level.downsample / width)
    return np.lexsort((centers[:, 0], centers[:, 1], cols, rows)).astype(np.int64)


def iter_tiles(
    image: SlideImage, tiles: Tiles, out_px: int, *, batch_size: int = 64
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
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
    level = choose_level(image, tiles.size_px / out_px)
    order = chunk_order(tiles.centers, image.levels[level])
    boxes = tiles.boxes / image.levels[level].downsample
    for start in range(0, len(order), batch_size):
        index = order[start : start + batch_size]
        yield index, np.stack([read_tile(image, boxes[i], out_px, level=level, black_padding=False) for i in index])


def read_tile(
    image: SlideImage, box: NDArray[np.float64], out_px: int, *, level: int = 0, black_padding: bool = True
) -> NDArray[np.uint8]:
    """Read one box (x0, y0, x1, y1), in pixels of ``level``, resampled to (out_px, out_px, 3) uint8.

    Black padding is shown as it is stored, or as the white background that it stands for.
    """
    from PIL import Image

    scale = max(1.0, float(box[2] - box[0]) / out_px)
    margin = int(np.ceil(2.0 * scale)) + 1
    left, top = (int(np.floor(v)) - margin for v in box[:2])
    right, bottom = (int(np.ceil(v)) + margin for v in box[2:])
    window = read_padded(image, top, left, bottom, right, level=level)
    if not black_padding:
        window = without_padding(window, background=WHITE)
    inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    resized = Image.fromarray(window).resize((out_px, out_px), Image.Resampling.BICUBIC, box=inner)
    return np.asarray(resized)


def read_padded(image: SlideImage, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
    """Read a box that may leave the image: white beyond its borders."""
    shape = image.levels[level]
    top, bottom = np.clip((y0, y1), 0, shape.height)
    left, right = np.clip((x0, x1), 0, shape.width)
    if (top, left, bottom, right) == (y0, x0, y1, x1):
        return image.read(y0, x0, y1, x1, level=level)
    out = np.full((y1 - y0, x1 - x0, 3), WHITE, dtype=np.uint8)
    if top < bottom and left < right:
        inside = image.read(int(top), int(left), int(bottom), int(right), level=level)
        out[top - y0 : bottom - y0, left - x0 : right - x0] = inside
    return out


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
    anchor = centers[np.lexsort((centers[:, 0], centers[:, 1]))[0]]
    cells = np.rint((centers - anchor) / size_px).astype(np.int64)
    offsets = block_offsets(side)
    blocks = (cells[:, None, :] + offsets[None]).reshape(-1, 2)
    distinct, inverse = np.unique(blocks[:, ::-1], axis=0, return_inverse=True)
    positions = distinct[:, ::-1] * size_px + anchor
    inside = inside_image(positions, image)
    renumber = np.where(inside, np.cumsum(inside) - 1, -1)
    index = renumber[inverse.ravel()].reshape(len(centers), side * side).astype(np.int32)
    return Tiles(positions[inside], size_px), index


def context_blocks(
    centers: NDArray[np.float64], size_px: float, side: int, image: SlideImage
) -> tuple[Tiles, NDArray[np.int32]]:
    """Give every spot its own block, centred exactly on it; the same form of result as :func:`context_grid`."""
    positions = (centers[:, None, :] + block_offsets(side)[None] * size_px).reshape(-1, 2)
    inside = inside_image(positions, image)
    index = np.where(inside, np.cumsum(inside) - 1, -1).reshape(len(centers), side * side)
    return Tiles(positions[inside], size_px), index.astype(np.int32)


def block_offsets(side: int) -> NDArray[np.int64]:
    """(side², 2) steps (x, y) of a block around its centre, rows top to bottom."""
    if side < 1 or side % 2 == 0:
        msg = f"`context` must be an odd number of tiles along a side (or None), got {side!r}."
        raise ValueError(msg)
    steps = np.arange(side) - side // 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.column_stack([x.ravel(), y.ravel()])


def inside_image(points: NDArray[np.float64], image: SlideImage) -> NDArray[np.bool_]:
    """(n,) which points (x, y) lie on the image."""
    x, y = points.T
    return (x >= 0) & (y >= 0) & (x < image.width) & (y < image.height)
