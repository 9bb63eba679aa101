"""Black padding within a tile: a canvas around the scan, which is no tissue and no dark stain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLACKEST = 12
"""Compression makes of black what is nearly black; no stain is as dark in all three colours."""
_LEAST_SHARE = 0.02
"""Of a tile; smaller black areas are dust, ink or a fold."""


def is_padding(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which pixels of a (..., 3) picture are black."""
    black: NDArray[np.bool_] = pixels[..., 1] <= _BLACKEST
    if black.any():
        black &= (pixels[..., 0] <= _BLACKEST) & (pixels[..., 2] <= _BLACKEST)
    return black


def without_padding(pixels: NDArray[np.uint8], *, background: int) -> NDArray[np.uint8]:
    """Pixels (h, w, 3) with black areas that reach the edge as ``background``; the same array where there are none."""
    black = is_padding(pixels)
    least = _LEAST_SHARE * black.size
    if black.sum() < least:
        return pixels
    from scipy.ndimage import label

    areas, _ = label(black)
    at_edge = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    kept = [area for area in np.unique(at_edge[at_edge > 0]) if (areas == area).sum() >= least]
    if not kept:
        return pixels
    out = pixels.copy()
    out[np.isin(areas, kept)] = background
    return out
