"""From the pixels of a region to the channels that its statistics are of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map, halve
from ._texture_stains import DENSE, TISSUE, density_table, lab_of, unmix

STEP = 4
"""Pixels from one place that a tile can start at to the next: the coarsest map that is not looked at by phases."""
CELLS = 4
"""Such steps along the side of the largest cell of a histogram."""
_ROWS = 64


@dataclass(frozen=True)
class Channels:
    """What is seen of a region.

    Attributes
    ----------
    stains
        Optical densities, at half the resolution along a side.
    grey
        Grey levels, at half the resolution.
    lab
        CIE Lab, at a fourth.
    tissue, dense
        How many pixels of every 4 x 4 are stained, and densely so.
    """

    stains: dict[str, Map]
    grey: Map
    lab: dict[str, Map]
    tissue: Map
    dense: Map


def see(pixels: NDArray[np.uint8]) -> Channels:
    """Look at (h, w, 3) uint8 pixels, whose sides are multiples of four."""
    strips = [_strip(pixels[row : row + _ROWS]) for row in range(0, len(pixels), _ROWS)]
    density, grey, reduced, tissue, dense = (np.concatenate(parts) for parts in zip(*strips, strict=True))
    return Channels(unmix(density), grey, lab_of(reduced), tissue, dense)


def _strip(pixels: NDArray[np.uint8]) -> tuple[Map, ...]:
    """Reduced maps of a strip of rows, small enough to stay in the cache of a processor."""
    table = density_table()
    planes = [np.ascontiguousarray(pixels[..., c]) for c in range(3)]
    densities = [table[plane] for plane in planes]
    total = (densities[0] + densities[1] + densities[2]) / np.float32(3.0)
    halves = [halve(plane.astype(np.float32)) for plane in planes]
    grey = (halves[0] + halves[1] + halves[2]) / np.float32(3.0)
    stained = [halve(halve((total > least).astype(np.float32))) * np.float32(STEP**2) for least in (TISSUE, DENSE)]
    density = np.stack([halve(d) for d in densities], axis=-1)
    return density, grey, np.stack([halve(h) for h in halves], axis=-1), stained[0], stained[1]
