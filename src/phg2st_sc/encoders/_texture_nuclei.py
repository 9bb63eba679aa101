"""Nuclei-like blobs of the haematoxylin channel: how many, how large, how dark, how crowded."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map

BLOB_SIGMAS = (1.5, 2.5, 4.0)
"""Blob radii / sqrt(2), in pixels of the map the blobs are looked for in."""
MIN_RESPONSE = 0.02
MIN_STAIN = 0.05


def nuclei(stain: Map, pixel_um: float) -> Iterator[tuple[str, float]]:
    """Blob and segment statistics of a haematoxylin map whose pixels span ``pixel_um``."""
    area_mm2 = stain.size * pixel_um**2 * 1e-6
    yield from _blobs(stain, area_mm2)
    yield from _segments(stain, pixel_um, area_mm2)


def _blobs(stain: Map, area_mm2: float) -> Iterator[tuple[str, float]]:
    from scipy.ndimage import gaussian_filter, maximum_filter

    smooth = [gaussian_filter(stain, s, mode="nearest", truncate=3.0) for s in (*BLOB_SIGMAS, BLOB_SIGMAS[-1] * 1.6)]
    for sigma, fine, coarse in zip(BLOB_SIGMAS, smooth, smooth[1:], strict=False):
        response = fine - coarse
        peaks = (response == maximum_filter(response, 2 * int(sigma) + 1)) & (response > MIN_RESPONSE)
        strengths = response[peaks]
        yield f"blob{sigma:g}_density", np.log1p(len(strengths) / area_mm2)
        yield f"blob{sigma:g}_strength", strengths.mean() if len(strengths) else 0.0
        yield f"blob{sigma:g}_energy", response.std()
        if sigma == BLOB_SIGMAS[1]:
            yield from spacing(np.argwhere(peaks))


def spacing(points: NDArray[np.int64]) -> Iterator[tuple[str, float]]:
    """Mean and relative spread of the distance from a blob to the nearest other one."""
    from scipy.spatial import cKDTree

    mean = spread = 0.0
    if len(points) > 2:
        distance = cKDTree(points).query(points, k=2)[0][:, 1]
        mean, spread = float(distance.mean()), float(distance.std() / distance.mean())
    yield "blob_spacing", mean
    yield "blob_irregularity", spread


def _segments(stain: Map, pixel_um: float, area_mm2: float) -> Iterator[tuple[str, float]]:
    from scipy.ndimage import gaussian_filter, label
    from skimage.filters import threshold_otsu

    smooth = gaussian_filter(stain, 1.0, mode="nearest", truncate=3.0)
    mask = smooth > max(MIN_STAIN, float(threshold_otsu(smooth)))
    labels, n_found = label(mask)
    areas = np.bincount(labels.ravel())[1:] * pixel_um**2
    areas = areas[areas >= 2 * pixel_um**2]
    rim = mask[1:-1, 1:-1] & ~(mask[2:, 1:-1] & mask[:-2, 1:-1] & mask[1:-1, 2:] & mask[1:-1, :-2])
    inside, outside = stain[mask], stain[~mask]
    yield "segment_fraction", mask.mean()
    yield "segment_density", np.log1p(len(areas) / area_mm2)
    yield "segment_area", np.log1p(areas.mean()) if len(areas) else 0.0
    yield "segment_area_std", np.log1p(areas.std()) if len(areas) else 0.0
    yield "segment_area_p90", np.log1p(np.quantile(areas, 0.9)) if len(areas) else 0.0
    yield "segment_rim", rim.sum() / max(int(mask.sum()), 1)
    yield "segment_contrast", (inside.mean() - outside.mean()) if n_found and len(outside) else 0.0
    yield "segment_stain_std", inside.std() if n_found else 0.0
