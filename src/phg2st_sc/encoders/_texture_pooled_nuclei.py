"""Nuclei-like blobs and segments in many windows of one haematoxylin map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._texture_edges import edge_peaks
from ._texture_maps import Map
from ._texture_nuclei import BLOB_SIGMAS, MIN_RESPONSE
from ._texture_segments import segments
from ._texture_sums import Sums, Windows, fold, in_batches, window_sums


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
        (more, stronger), at_edges = edge_peaks(response, peaks, windows, int(sigma))
        number, strength = number + more, strength + stronger
        mean, square = (window_sums(fold(part), fourths) / windows.side**2 for part in (response, response**2))
        yield f"blob{sigma:g}_density", np.log1p(number / area_mm2)
        yield f"blob{sigma:g}_strength", np.where(number > 0, strength / np.maximum(number, 1.0), 0.0)
        yield f"blob{sigma:g}_energy", np.sqrt(np.maximum(square - mean**2, 0.0))
        if sigma == BLOB_SIGMAS[1]:
            yield from _spacing(np.argwhere(peaks), at_edges, windows)


def _spacing(
    points: NDArray[np.int64], at_edges: tuple[NDArray[np.int64], NDArray[np.int64]], windows: Windows
) -> Iterator[tuple[str, Sums]]:
    """Mean and relative spread of the distance to the nearest blob within the same window.

    Of the blobs of the map, and of those that there are at the edges of a window because it ends there.
    """
    found = np.zeros((2, len(windows.top)))
    order = np.argsort(at_edges[0], kind="stable")
    owners, edge_points = at_edges[0][order], at_edges[1][order]
    for part, batch in in_batches(windows):
        first, last = np.searchsorted(owners, [part.start, part.start + len(batch.top)])
        window, inside = _inside(points, batch)
        window = np.concatenate([window, owners[first:last] - part.start])
        found[:, part] = _spacing_in(window, np.concatenate([points[inside], edge_points[first:last]]), batch)
    yield "blob_spacing", found[0]
    yield "blob_irregularity", found[1]


def _spacing_in(window: NDArray[np.int64], points: NDArray[np.int64], windows: Windows) -> Sums:
    """(2, n) the same of points (p, 2) with the window (p,) that each is in."""
    from scipy.spatial import cKDTree

    number = np.bincount(window, minlength=len(windows.top))
    if len(points) < 2:
        return np.zeros((2, len(number)))
    apart = np.column_stack(
        [window * (2.0 * windows.side), points]
    )  # who is alone finds others beyond, and is not counted
    nearest = cKDTree(apart).query(apart, k=2)[0][:, 1]
    mean, square = (
        np.bincount(window, power, minlength=len(number)) / np.maximum(number, 1) for power in (nearest, nearest**2)
    )
    enough = (number > 2) & (mean > 0)
    spread = np.sqrt(np.maximum(square - mean**2, 0.0)) / np.where(enough, mean, 1.0)
    return np.where(enough, np.stack([mean, spread]), 0.0)


def _inside(points: NDArray[np.int64], windows: Windows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of a window and a point within it, window by window."""
    from scipy.spatial import cKDTree

    if not len(points):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    middle = (windows.side - 1) / 2
    centers = np.column_stack([windows.top, windows.left]) + middle
    lists = cKDTree(points).query_ball_point(centers, middle + 0.1, p=np.inf, return_sorted=True)
    window = np.repeat(np.arange(len(lists)), [len(one) for one in lists])
    return window, np.concatenate([np.asarray(one, dtype=np.int64) for one in lists])
