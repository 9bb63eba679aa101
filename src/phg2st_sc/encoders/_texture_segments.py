"""Stained segments in many windows of one map: each window at a threshold of its own."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map
from ._texture_nuclei import MIN_STAIN
from ._texture_sums import Histograms, Scale, Sums, Windows, cut, in_batches, otsu

_BINS = Scale(0.0, 0.25, 256)
_CELL, _BATCH = 8, 128
NAMES = ("fraction", "density", "area", "area_std", "area_p90", "rim", "contrast", "stain_std")


def segments(stain: Map, windows: Windows, pixel_um: float, area_mm2: float) -> Iterator[tuple[str, Sums]]:
    """Number, area, rim and stain of what is darker than the threshold of its window."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(stain, 1.0, mode="nearest", truncate=3.0)
    histograms, shape = Histograms(smooth, _BINS, _CELL), (windows.side, windows.side)
    out = np.empty((len(NAMES), len(windows.top)))
    for part, batch in in_batches(windows, _BATCH):
        least = np.maximum(MIN_STAIN, otsu(histograms.of(batch), _BINS)).astype(np.float32)
        seen, stained = (cut(channel, batch.top, batch.left, shape) for channel in (smooth, stain))
        out[:, part] = _describe(seen > least[:, None, None], stained, pixel_um, area_mm2)
    for name, values in zip(NAMES, out, strict=True):
        yield f"segment_{name}", values


def _describe(mask: NDArray[np.bool_], stain: Map, pixel_um: float, area_mm2: float) -> NDArray[np.float64]:
    n, side = len(mask), mask.shape[1]
    inside = mask.sum(axis=(1, 2), dtype=np.int64)
    all_sides = mask[:, 2:, 1:-1] & mask[:, :-2, 1:-1] & mask[:, 1:-1, 2:] & mask[:, 1:-1, :-2]
    rim = (mask[:, 1:-1, 1:-1] & ~all_sides).sum(axis=(1, 2))
    kept = stain * mask
    total = stain.sum(axis=(1, 2), dtype=np.float64)
    stained = kept.sum(axis=(1, 2), dtype=np.float64)
    squares = np.einsum("nij,nij->n", kept, kept, dtype=np.float64)
    at_least_1 = np.maximum(inside, 1)
    outside = side**2 - inside
    mean = stained / at_least_1
    contrast = np.where((inside > 0) & (outside > 0), mean - (total - stained) / np.maximum(outside, 1), 0.0)
    spread = np.sqrt(np.maximum(squares / at_least_1 - mean**2, 0.0))
    number, area, area_std, area_p90 = _areas(mask)
    px = pixel_um**2
    return np.stack(
        [
            inside / side**2,
            np.log1p(number / area_mm2),
            np.log1p(area * px),
            np.log1p(area_std * px),
            np.log1p(area_p90 * px),
            rim / at_least_1,
            contrast,
            spread,
        ]
    ).reshape(len(NAMES), n)


def _areas(mask: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
    """Return number, mean, spread and 90th percentile of the areas, in pixels, of the segments of two pixels or more."""
    from scipy.ndimage import label

    n, side = len(mask), mask.shape[1]
    tall = np.zeros((n, side + 1, side), dtype=bool)  # a blank row between windows keeps their segments apart
    tall[:, :-1] = mask
    labels, n_found = label(tall.reshape(-1, side))
    last = np.maximum.accumulate(labels.reshape(n, -1).max(axis=1))  # labels count on from top to bottom
    areas = np.bincount(labels.ravel(), minlength=n_found + 1)[1:]
    window = np.searchsorted(last, np.arange(1, n_found + 1))
    large = areas >= 2
    sizes, window = areas[large].astype(np.float64), window[large]
    number = np.bincount(window, minlength=n)
    mean, square = (np.bincount(window, power, minlength=n) / np.maximum(number, 1) for power in (sizes, sizes**2))
    return number.astype(np.float64), mean, np.sqrt(np.maximum(square - mean**2, 0.0)), _upper(sizes, window, number)


def _upper(areas: NDArray[np.float64], window: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n,) 90th percentile of the areas of every window, between the nearest two as `numpy.quantile`."""
    found = np.zeros(len(number))
    some = number > 0
    if not some.any():
        return found
    ordered = areas[np.lexsort((areas, window))]
    first = (np.cumsum(number) - number)[some]
    at = 0.9 * (number[some] - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, number[some] - 1)
    found[some] = ordered[first + low] + (at - low) * (ordered[first + high] - ordered[first + low])
    return found
