"""Nuclei-like blobs and segments in many windows of one haematoxylin map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._texture_edges import edge_peaks
from ._texture_maps import Map
from ._texture_nuclei import BLOB_SIGMAS, MIN_RESPONSE, spacing
from ._texture_segments import segments
from ._texture_sums import Sums, Windows, fold, in_batches, window_sums

_NEIGHBORS = 16


def pooled_nuclei(stain: Map, windows: Windows, pixel_um: float) -> Iterator[tuple[str, Sums]]:
    """Blob and segment statistics of every window of a map whose pixels span ``pixel_um``; windows start at even pixels."""
    area_mm2 = windows.side**2 * pixel_um**2 * 1e-6
    yield from _blobs(stain, windows, area_mm2)
    yield from segments(stain, windows, pixel_um, area_mm2)


def _blobs(stain: Map, windows: Windows, area_mm2: float) -> Iterator[tuple[str, Sums]]:
    from scipy.ndimage import gaussian_filter, maximum_filter

    fourths = Windows(windows.top // 2, windows.left // 2, windows.side // 2)
    smooth = [gaussian_filter(stain, s, mode="nearest", truncate=3.0) for s in (*BLOB_SIGMAS, BLOB_SIGMAS[-1] * 1.6)]
    for sigma, fine, coarse in zip(BLOB_SIGMAS, smooth, smooth[1:], strict=False):
        response = fine - coarse
        peaks = (response == maximum_filter(response, 2 * int(sigma) + 1)) & (response > MIN_RESPONSE)
        number, strength = (window_sums(fold(part), fourths) for part in (peaks.astype(np.float32), peaks * response))
        at_edges = edge_peaks(response, peaks, windows, int(sigma))
        number, strength = number + at_edges[0], strength + at_edges[1]
        mean, square = (window_sums(fold(part), fourths) / windows.side**2 for part in (response, response**2))
        yield f"blob{sigma:g}_density", np.log1p(number / area_mm2)
        yield f"blob{sigma:g}_strength", np.where(number > 0, strength / np.maximum(number, 1.0), 0.0)
        yield f"blob{sigma:g}_energy", np.sqrt(np.maximum(square - mean**2, 0.0))
        if sigma == BLOB_SIGMAS[1]:
            yield from _spacing(np.argwhere(peaks), windows)


def _spacing(points: NDArray[np.int64], windows: Windows) -> Iterator[tuple[str, Sums]]:
    """Mean and relative spread of the distance to the nearest blob within the same window."""
    found = np.zeros((2, len(windows.top)))
    if len(points) > 2:
        for part, batch in in_batches(windows):
            found[:, part] = _spacing_in(points, batch)
    yield "blob_spacing", found[0]
    yield "blob_irregularity", found[1]


def _spacing_in(points: NDArray[np.int64], windows: Windows) -> Sums:
    """(2, n) the same."""
    n_windows = len(windows.top)
    window, point = _inside(points, windows)
    nearest = _nearest(points, windows, window, point)
    alone = np.unique(window[~np.isfinite(nearest)])
    nearest[~np.isfinite(nearest)] = 0.0
    number = np.bincount(window, minlength=n_windows)
    mean, square = (
        np.bincount(window, power, minlength=n_windows) / np.maximum(number, 1) for power in (nearest, nearest**2)
    )
    enough = (number > 2) & (mean > 0)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0)) / np.where(enough, mean, 1.0)
    found = np.where(enough, np.stack([mean, spread]), 0.0)
    for i in alone:
        found[:, i] = [value for _, value in spacing(points[point[window == i]])]
    return found


def _inside(points: NDArray[np.int64], windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of a window and a point within it, window by window."""
    from scipy.spatial import cKDTree

    middle = (windows.side - 1) / 2
    centers = np.column_stack([windows.top, windows.left]) + middle
    lists = cKDTree(points).query_ball_point(centers, middle + 0.1, p=np.inf, return_sorted=True)
    window = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    return window, np.concatenate([np.asarray(one, dtype=np.int64) for one in lists])


def _nearest(
    points: NDArray[np.int64], windows: Windows, window: NDArray[np.int64], point: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Distance from every point to the nearest other one in its window; infinite where that is none of its neighbours."""
    from scipy.spatial import cKDTree

    distances, others = cKDTree(points).query(points, k=min(_NEIGHBORS, len(points)))
    nearest = np.full(len(point), np.inf)
    top, left = windows.top[window], windows.left[window]
    for rank in range(distances.shape[1] - 1, 0, -1):
        y, x = points[others[point, rank]].T
        inside = (y >= top) & (y < top + windows.side) & (x >= left) & (x < left + windows.side)
        nearest[inside] = distances[point[inside], rank]
    return nearest
