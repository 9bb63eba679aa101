"""Optical densities, stains and colours of pixels."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map, halve

TISSUE, DENSE = 0.15, 0.6
"""Optical density from which on a pixel is stained, and densely so."""


@cache
def density_table() -> NDArray[np.float32]:
    """Optical density of every 8-bit value, floored at one grey level."""
    return -np.log10(np.maximum(np.arange(256, dtype=np.float64), 1.0) / 255.0).astype(np.float32)


@cache
def _unmixing() -> NDArray[np.float32]:
    from skimage.color import hed_from_rgb

    # scikit-image scales its matrix for natural logarithms over log(1e-6); only the directions matter here.
    return np.asarray(hed_from_rgb, dtype=np.float32)


def stains_of_tile(tile: NDArray[np.uint8]) -> dict[str, Map]:
    """Stains of (h, w, 3) uint8 pixels, and the mean density."""
    return unmix(density_table()[tile])


def unmix(density: NDArray[np.float32]) -> dict[str, Map]:
    """Stains of (h, w, 3) optical densities, and the mean density."""
    unmixed = [_weighted(density, column) for column in _unmixing().T]
    total = (density[..., 0] + density[..., 1] + density[..., 2]) / np.float32(3.0)
    return {"haematoxylin": unmixed[0], "eosin": unmixed[1], "residual": unmixed[2], "density": total}


def _weighted(channels: NDArray[np.float32], weights: NDArray[np.float32]) -> Map:
    return channels[..., 0] * weights[0] + channels[..., 1] * weights[1] + channels[..., 2] * weights[2]


def lab_of_tile(tile: NDArray[np.uint8]) -> dict[str, Map]:
    """CIE Lab of the four-fold reduced tile: colour, without its finest grain."""
    return lab_of(np.stack([halve(halve(tile[..., c].astype(np.float32))) for c in range(3)], axis=-1))


def lab_of(reduced: NDArray[np.float32]) -> dict[str, Map]:
    """CIE Lab of (h, w, 3) colours from 0 to 255."""
    from skimage.color import rgb2lab

    lab = rgb2lab(reduced / np.float32(255.0)).astype(np.float32)
    return {"lightness": lab[..., 0], "green_red": lab[..., 1], "blue_yellow": lab[..., 2]}
