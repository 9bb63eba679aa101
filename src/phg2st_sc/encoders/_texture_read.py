"""Regions of an image at the pixel size of tiles: as tiles are read, but of any size, in strips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, choose_level, is_padding, read_padded

_STRIP_PX = 12 * 10**6
"""Stored pixels that are read at once."""
_GAP = 3.0
"""From twice this reduction on, whole pixels are averaged first: four times quicker, and the same to half a grey level or so."""
_DARK = 64
"""No red of padding is brighter: a first look, which is quicker."""
LEAST_BLACK = 0.02
"""Share of a tile from which on black padding is white."""
_BLACK_SHARE, _BLUR = 0.75 * LEAST_BLACK, 2
"""Somewhat less, as edges are blurred here."""


def read_scaled(
    image: SlideImage,
    top: int,
    left: int,
    bottom: int,
    right: int,
    *,
    pixel: float,
    canvas: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Read a box of an image scaled so that one pixel spans ``pixel`` full-resolution pixels; white beyond the image.

    Parameters
    ----------
    image
        An opened image.
    top, left, bottom, right
        In scaled pixels; pixel i spans [i, i + 1), from the corner of the image on.
    pixel
        Full-resolution pixels along the side of one scaled pixel.
    canvas
        Scaled pixels of the box where black is padding, and white.

    Returns
    -------
    (bottom - top, right - left, 3) uint8.
    """
    from PIL import Image

    level = choose_level(image, pixel)
    scale = pixel / image.levels[level].downsample
    margin = int(np.ceil(2.0 * max(1.0, scale))) + 1
    x0, x1 = int(np.floor(left * scale)) - margin, int(np.ceil(right * scale)) + margin
    rows = max(1, int(_STRIP_PX / ((x1 - x0) * scale)))
    out = np.empty((bottom - top, right - left, 3), dtype=np.uint8)
    for first in range(top, bottom, rows):
        last = min(first + rows, bottom)
        y0, y1 = int(np.floor(first * scale)) - margin, int(np.ceil(last * scale)) + margin
        stored = read_padded(image, y0, x0, y1, x1, level=level)
        if canvas is not None:
            rows_of, columns = (
                np.floor((np.arange(*ends) + 0.5) / scale).astype(np.int64) for ends in ((y0, y1), (x0, x1))
            )
            stored = _whitened(stored, rows_of - top, columns - left, canvas)
        window = Image.fromarray(stored)
        box = (left * scale - x0, first * scale - y0, right * scale - x0, last * scale - y0)
        size = (right - left, last - first)
        out[first - top : last - top] = np.asarray(
            window.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=_GAP)
        )
    return out


class BlackAreas(NamedTuple):
    """Large black areas of a region (h, w): whether each pixel is of one, or next to one.

    Attributes
    ----------
    canvas
        Areas that no tile holds as a whole: in every tile that they reach into, they are padding.
    inner
        Areas that are padding in tiles across their edge, and dark tissue in tiles that hold them.
    """

    canvas: NDArray[np.bool_]
    inner: NDArray[np.bool_]

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], tile_px: int) -> BlackAreas | None:
        """Find those of (h, w, 3) uint8 pixels that tiles of ``tile_px`` may have as padding; ``None`` if none."""
        from scipy.ndimage import find_objects, label

        dark = pixels[..., 0] < _DARK
        black = np.zeros(dark.shape, dtype=bool)
        black[dark] = is_padding(pixels[dark])
        least = _BLACK_SHARE * tile_px**2
        if black.sum() < least:
            return None
        areas, _ = label(black)
        large = np.flatnonzero(np.bincount(areas.ravel()) >= least)
        large = large[large > 0]
        if not len(large):
            return None
        boxes = find_objects(areas)
        canvas = [number for number in large.tolist() if _is_canvas(boxes[number - 1], pixels.shape, tile_px)]
        inner = np.setdiff1d(large, canvas)
        return cls(_grown(np.isin(areas, canvas)), _grown(np.isin(areas, inner)))


def _is_canvas(box: tuple[slice, ...], shape: tuple[int, ...], tile_px: int) -> bool:
    sides = [(part.start, part.stop, size) for part, size in zip(box, shape[:2], strict=True)]
    return any(start == 0 or stop == size or stop - start > tile_px + 2 * _BLUR for start, stop, size in sides)


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation

    out: NDArray[np.bool_] = binary_dilation(mask, np.ones((3, 3), dtype=bool), iterations=_BLUR)
    return out


def _whitened(
    window: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64], canvas: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Stored pixels with those white that are black and lie on the canvas; which rows and columns of it they are in."""
    y = np.clip(rows, 0, canvas.shape[0] - 1)
    x = np.clip(columns, 0, canvas.shape[1] - 1)
    there = canvas[y[:, None], x]
    if not there.any():
        return window
    out = window.copy()
    out[there & is_padding(window)] = 255
    return out
