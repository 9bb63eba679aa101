"""From stored pixels to (h, w, 3) uint8, and from array shapes to axis orders."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS = (1, 3, 4)
_FLOAT_SLACK = 1e-3


def axes_of_shape(shape: tuple[int, ...]) -> str:
    """Tell (y, x), (y, x, c) and (c, y, x) apart by the channel count; refuse what fits both or neither."""
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3:
        last, first = shape[2] in CHANNELS, shape[0] in CHANNELS
        if last and first:
            msg = (
                f"An array of shape {shape} could be (y, x, c) or (c, y, x). Pass an xarray.DataArray with named "
                "dimensions."
            )
            raise ValueError(msg)
        if last:
            return "yxc"
        if first:
            return "cyx"
    msg = (
        f"An array of shape {shape} is no brightfield image: expected (y, x), (y, x, c) or (c, y, x) with c = 1 (grey), "
        "3 (RGB) or 4 (RGBA)."
    )
    raise ValueError(msg)


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype if its value range is known by convention, else raise."""
    dtype = np.dtype(dtype)
    if dtype in (np.dtype(np.uint8), np.dtype(np.uint16)) or dtype.kind == "f":
        return dtype
    msg = (
        f"Image values of type {dtype} have no agreed range. Convert the image to uint8 (0-255), uint16 (0-65535) or "
        "float (0-1)."
    )
    raise TypeError(msg)


def to_rgb(pixels: NDArray[Any], axes: str) -> NDArray[np.uint8]:
    """Convert a stored box to RGB: grey repeated, alpha composited on white, wider types scaled to 0-255."""
    if axes == "cyx":
        pixels = np.moveaxis(pixels, 0, -1)
    if axes == "yx":
        pixels = pixels[..., None]
    pixels = _to_uint8(pixels)
    if pixels.shape[-1] == 1:
        pixels = np.repeat(pixels, 3, axis=-1)
    elif pixels.shape[-1] == 4:
        pixels = _on_white(pixels)
    return np.ascontiguousarray(pixels)


def _on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = rgba[..., 3:].astype(np.float32) / 255.0
    mixed = rgba[..., :3] * alpha + 255.0 * (1.0 - alpha)
    return np.rint(mixed).astype(np.uint8)


def _to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.uint16:
        return np.rint(pixels / np.float32(257.0)).astype(np.uint8)
    low, high = float(np.min(pixels)), float(np.max(pixels))
    if not (low >= -_FLOAT_SLACK and high <= 1.0 + _FLOAT_SLACK):
        msg = f"A floating-point image must lie in 0-1, found values from {low:g} to {high:g}. Convert it to uint8."
        raise ValueError(msg)
    return np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
