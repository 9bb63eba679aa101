"""Read one tile: resampled once, antialiased, straight from its exact (fractional) box to the size that is asked for.

So it is centred on its spot to a fraction of a pixel. What lies beyond the image is white, the background of a brightfield
scan, and so is a black canvas.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._base import SlideImage
from ._black import without_padding

WHITE = 255
_LEVEL_SLACK = 1.01


def choose_level(image: SlideImage, pixels_per_output: float) -> int:
    """Return the coarsest level that still has at least one pixel per output pixel."""
    fitting = [i for i, level in enumerate(image.levels) if level.downsample <= pixels_per_output * _LEVEL_SLACK]
    return max(fitting, key=lambda i: image.levels[i].downsample, default=0)


def read_tile(
    image: SlideImage, box: NDArray[np.float64], out_px: int, *, level: int = 0, black_padding: bool = True
) -> NDArray[np.uint8]:
    """Read one box (x0, y0, x1, y1), in pixels of ``level``, resampled to (out_px, out_px, 3) uint8.

    Black padding is shown as it is stored, or as the white background that it stands for.
    """
    top, left, bottom, right = windows(box, out_px).tolist()
    return resampled(image, box, (top, left, bottom, right), out_px, level=level, black_padding=black_padding)


def resampled(
    image: SlideImage,
    box: NDArray[np.float64],
    window: tuple[int, int, int, int],
    out_px: int,
    *,
    level: int,
    black_padding: bool,
) -> NDArray[np.uint8]:
    """Read the window (top, left, bottom, right) that a box takes, and resample the box."""
    from PIL import Image

    top, left, bottom, right = window
    pixels = read_padded(image, top, left, bottom, right, level=level)
    if not black_padding:
        pixels = without_padding(pixels, background=WHITE)
    inner = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    resized = Image.fromarray(pixels).resize((out_px, out_px), Image.Resampling.BICUBIC, box=inner)
    return np.asarray(resized)


def windows(boxes: NDArray[np.float64], out_px: int) -> NDArray[np.int64]:
    """Pixels (..., 4) (top, left, bottom, right) that resampling boxes (..., 4) (x0, y0, x1, y1) takes."""
    scale = np.maximum(1.0, (boxes[..., 2] - boxes[..., 0]) / out_px)
    margin = np.ceil(2.0 * scale).astype(np.int64) + 1
    low, high = np.floor(boxes).astype(np.int64), np.ceil(boxes).astype(np.int64)
    edges: list[Any] = [low[..., 1] - margin, low[..., 0] - margin, high[..., 3] + margin, high[..., 2] + margin]
    return np.stack(edges, axis=-1)


def read_padded(image: SlideImage, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
    """Read a box that may leave the image: white beyond its borders."""
    shape = image.levels[level]
    top, bottom = (min(max(y, 0), shape.height) for y in (y0, y1))
    left, right = (min(max(x, 0), shape.width) for x in (x0, x1))
    if (top, left, bottom, right) == (y0, x0, y1, x1):
        return image.read(y0, x0, y1, x1, level=level)
    out = np.full((y1 - y0, x1 - x0, 3), WHITE, dtype=np.uint8)
    if top < bottom and left < right:
        inside = image.read(top, left, bottom, right, level=level)
        out[top - y0 : bottom - y0, left - x0 : right - x0] = inside
    return out
