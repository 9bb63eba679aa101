"""Peaks that are peaks because a window ends there: what is higher lies beyond it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map
from ._texture_nuclei import MIN_RESPONSE
from ._texture_sums import Sums, Windows, cut, in_batches

_BATCH = 256


def edge_peaks(response: Map, peaks: NDArray[np.bool_], windows: Windows, reach: int) -> Sums:
    """(2, n) number and sum of the peaks that every window has in addition to those of the whole map.

    Parameters
    ----------
    response
        The map.
    peaks
        Its pixels that are highest among all up to ``reach`` rows and columns away.
    windows
        In pixels of the map.
    reach
        In a window only what lies within it counts.
    """
    found = np.zeros((2, len(windows.top)))
    for part, batch in in_batches(windows, _BATCH):
        for strip, known, ring in _strips(response, peaks, batch, reach):
            gained = (_highest(strip, reach) & ~known)[ring]
            found[0, part] += gained.sum(axis=(1, 2))
            found[1, part] += (strip[ring] * gained).sum(axis=(1, 2), dtype=np.float64)
    return found


def _strips(
    response: Map, peaks: NDArray[np.bool_], windows: Windows, reach: int
) -> Iterator[tuple[Map, NDArray[np.bool_], tuple[slice, ...]]]:
    """Along each edge a strip of all that its pixels are compared with, and which pixels these are; each corner once."""
    side, deep = windows.side, 2 * reach
    every, between = slice(None), slice(reach, -reach)
    for off, ring in ((0, slice(0, reach)), (side - deep, slice(reach, None))):
        for down, across, shape, kept in (
            (off, 0, (deep, side), (every, ring)),
            (0, off, (side, deep), (every, between, ring)),
        ):
            top, left = windows.top + down, windows.left + across
            yield cut(response, top, left, shape), cut(peaks, top, left, shape), kept


def _highest(strip: Map, reach: int) -> NDArray[np.bool_]:
    from scipy.ndimage import maximum_filter

    size = 2 * reach + 1
    highest = maximum_filter(strip, size=(1, size, size), mode="constant", cval=-np.inf)
    out: NDArray[np.bool_] = (strip == highest) & (strip > MIN_RESPONSE)
    return out
