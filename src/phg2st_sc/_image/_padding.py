"""Padding of a picture: black, or transparent, where a scanner or a crop saw nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._base import ImageLevel, SlideImage
from ._black import is_padding
from ._read_tile import WHITE, choose_level
from ._sweep import sweep

MIDDLE, MOST = 0.25, 0.5
_PROBE_PX = 4


def on_padding(centers: NDArray[np.float64], size_px: float, image: SlideImage) -> NDArray[np.bool_]:
    """Which centres (x, y), in pixels of the image, lie on padding: by the middle quarter of their tile.

    Parameters
    ----------
    centers
        (n, 2) in pixels.
    size_px
        Side of a tile in pixels.
    image
        An opened image. Pure white is padding too where the image has transparent parts, which are shown on white.
    """
    number = choose_level(image, size_px * MIDDLE / _PROBE_PX)
    level = image.levels[number]
    half = max(size_px * MIDDLE / 2.0 / level.downsample, 0.5)
    boxes = _middles(centers / level.downsample, half, level)
    found = np.zeros(len(centers), dtype=bool)
    for i in sweep(boxes, level):
        y0, x0, y1, x1 = boxes[i].tolist()
        seen = image.read(y0, x0, y1, x1, level=number)
        blank = is_padding(seen)
        if getattr(image, "has_transparent", False):
            blank |= seen.min(axis=-1) == WHITE
        found[i] = blank.mean() > MOST
    return found


def _middles(centers: NDArray[np.float64], half: float, level: ImageLevel) -> NDArray[np.int64]:
    """Boxes (n, 4) (y0, x0, y1, x1) within the level, of a pixel at least."""
    most = np.array([level.height, level.width])
    middle = np.clip(centers[:, ::-1], 0, most - 1)
    low = np.maximum(middle - half, 0).astype(np.int64)
    high = np.minimum(np.ceil(middle + half), most).astype(np.int64)
    return np.hstack([low, np.maximum(high, low + 1)])
