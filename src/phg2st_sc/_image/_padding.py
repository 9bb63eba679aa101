"""Padding of a picture: black, or transparent, where a scanner or a crop saw nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._base import SlideImage
from ._black import is_padding
from ._tiles import WHITE, choose_level, chunk_order

_PROBE_PX, _PROBE_SHARE = 4, 0.25
_MOST = 0.5


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
    number = choose_level(image, size_px * _PROBE_SHARE / _PROBE_PX)
    level = image.levels[number]
    half = max(size_px * _PROBE_SHARE / 2.0 / level.downsample, 0.5)
    found = np.zeros(len(centers), dtype=bool)
    for i in chunk_order(centers, level):
        x, y = np.clip(centers[i] / level.downsample, 0, (level.width - 1, level.height - 1))
        x0, y0 = int(max(x - half, 0)), int(max(y - half, 0))
        x1, y1 = int(min(np.ceil(x + half), level.width)), int(min(np.ceil(y + half), level.height))
        seen = image.read(y0, x0, max(y1, y0 + 1), max(x1, x0 + 1), level=number)
        blank = is_padding(seen)
        if getattr(image, "has_transparent", False):
            blank |= seen.min(axis=-1) == WHITE
        found[i] = blank.mean() > _MOST
    return found
