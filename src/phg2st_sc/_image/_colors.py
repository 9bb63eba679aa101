"""Ways in which colours are stored, each as a function from (h, w, c) samples to (h, w, 3) RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# XYZ of white, and XYZ to linear sRGB: under D50, as Lab is in print and in most files (Bradford adaptation included), and
# under D65, the white of screens.
D50 = (
    np.array([0.96422, 1.0, 0.82521]),
    np.array(
        [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
    ),
)
D65 = (
    np.array([0.95047, 1.0, 1.08883]),
    np.array(
        [[3.2404542, -1.5371385, -0.4985314], [-0.9692660, 1.8760108, 0.0415560], [0.0556434, -0.2040259, 1.0572252]]
    ),
)
Light = tuple[NDArray[np.float64], NDArray[np.float64]]
REC601 = (0.299, 0.587, 0.114)
FULL_RANGES = (0.0, 255.0, 128.0, 255.0, 128.0, 255.0)


def plain(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey, RGB, or either with alpha, which is composited on white."""
    channels = pixels.shape[-1]
    if channels in (2, 4):
        return on_white(plain(pixels[..., :-1]), pixels[..., -1:])
    return np.repeat(pixels, 3, axis=-1) if channels == 1 else pixels


def premultiplied(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey or RGB that was multiplied by the alpha beside it."""
    rest = 255 - pixels[..., -1:].astype(np.int16)
    return np.clip(plain(pixels[..., :-1]) + rest, 0, 255).astype(np.uint8)


def on_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay colours on white by their opacity."""
    opaque = alpha.astype(np.float32) / 255.0
    return np.rint(rgb * opaque + 255.0 * (1.0 - opaque)).astype(np.uint8)


def inverted(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey whose zero is white."""
    return plain(255 - pixels[..., :1])


def cmyk_to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Ink to light, without a profile of the press."""
    light = 255.0 - pixels[..., :4].astype(np.float32)
    return np.rint(light[..., :3] * light[..., 3:] / 255.0).astype(np.uint8)


def ycbcr_to_rgb(
    pixels: NDArray[np.uint8], luma: tuple[float, ...] = REC601, ranges: tuple[float, ...] = FULL_RANGES
) -> NDArray[np.uint8]:
    """Luma and two colour differences to RGB.

    Parameters
    ----------
    pixels
        (h, w, 3) samples.
    luma
        Share of red, green and blue in luma.
    ranges
        Stored value of black and white for each of the three, as TIFF's ReferenceBlackWhite has them.
    """
    black, white = np.array(ranges, dtype=np.float32).reshape(3, 2).T
    y, cb, cr = np.moveaxis((pixels - black) / (white - black), -1, 0) * np.array([255, 127, 127])[:, None, None]
    red = cr * (2.0 - 2.0 * luma[0]) + y
    blue = cb * (2.0 - 2.0 * luma[2]) + y
    green = (y - luma[2] * blue - luma[0] * red) / luma[1]
    return _eight(np.stack([red, green, blue], axis=-1))


def lab_to_rgb(pixels: NDArray[Any], *, signed: bool, light: Light = D50) -> NDArray[np.uint8]:
    """CIE Lab of 8 or 16 bits, its a and b signed or offset by half, to sRGB."""
    wide = pixels.dtype.itemsize == 2
    lightness = pixels[..., 0] * (100.0 / ((65535.0 if signed else 65280.0) if wide else 255.0))
    if signed:
        chroma = pixels[..., 1:3].view(f"i{pixels.dtype.itemsize}").astype(np.float64)
    else:
        chroma = pixels[..., 1:3] - (32768.0 if wide else 128.0)
    a, b = np.moveaxis(chroma / (256.0 if wide else 1.0), -1, 0)
    fy = (lightness + 16.0) / 116.0
    f = np.stack([fy + a / 500.0, fy, fy - b / 200.0], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, (f - 4 / 29) * 3 * (6 / 29) ** 2) * light[0]
    linear = np.clip(xyz @ light[1].T, 0.0, 1.0)
    return _eight(255.0 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def palette_to_rgb(pixels: NDArray[Any], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Look every index up in (n, 3) colours."""
    return colors[pixels[..., 0]]


def _eight(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0.0, 255.0)).astype(np.uint8)
