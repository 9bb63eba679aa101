"""Peaks that are peaks because a window ends there: what is higher lies beyond it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map
from ._texture_nuclei import MIN_RESPONSE
from ._texture_sums import Sums, Windows, cut, in_batches

_BATCH = 256


def edge_peaks(
    response: Map, peaks: NDArray[np.bool_], windows: Windows, reach: int
) -> tuple[Sums, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Peaks that every window has in addition to those of the whole map.

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

    Returns
    -------
    (2, n) their number and sum in every window; and of each peak its window (p,) and its row and column (p, 2) in the map.
    """
    found = np.zeros((2, len(windows.top)))
    owners, points = [np.empty(0, dtype=np.int64)], [np.empty((0, 2), dtype=np.int64)]
    for part, batch in in_batches(windows, _BATCH):
        for strip, known, ring, corners in _strips(response, peaks, batch, reach):
            gained = np.zeros_like(known)
            gained[ring] = (_highest(strip, reach) & ~known)[ring]
            found[0, part] += gained.sum(axis=(1, 2))
            found[1, part] += (strip * gained).sum(axis=(1, 2), dtype=np.float64)
            window, *place = np.nonzero(gained)
            owners.append(window + part.start)
            points.append(corners[window] + np.column_stack(place))
    return found, (np.concatenate(owners), np.concatenate(points))


def _strips(
    response: Map, peaks: NDArray[np.bool_], windows: Windows, reach: int
) -> Iterator[tuple[Map, NDArray[np.bool_], tuple[slice, ...], NDArray[np.int64]]]:
    """Along each edge a strip of all that its pixels are compared with, which pixels these are, and where it starts; each corner once."""
    side, deep = windows.side, 2 * reach
    every, between = slice(None), slice(reach, -reach)
    for off, ring in ((0, slice(0, reach)), (side - deep, slice(reach, None))):
        for down, across, shape, kept in (
            (off, 0, (deep, side), (every, ring)),
            (0, off, (side, deep), (every, between, ring)),
        ):
            top, left = windows.top + down, windows.left + across
            corners = np.column_stack([top, left])
            yield cut(response, top, left, shape), cut(peaks, top, left, shape), kept, corners


def _highest(strip: Map, reach: int) -> NDArray[np.bool_]:
    from scipy.ndimage import maximum_filter

    size = 2 * reach + 1
    highest = maximum_filter(strip, size=(1, size, size), mode="constant", cval=-np.inf)
    out: NDArray[np.bool_] = (strip == highest) & (strip > MIN_RESPONSE)
    return out
