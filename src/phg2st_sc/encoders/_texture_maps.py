"""Statistics of single image channels, on one tile at a time: the parts the texture encoder is made of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

PERCENTILES = (5, 25, 50, 75, 95)
_EPS = np.float32(1e-6)


def halve(channel: Map) -> Map:
    """Mean over 2 x 2 pixels; an odd last row or column is dropped."""
    height, width = channel.shape[0] // 2 * 2, channel.shape[1] // 2 * 2
    c = channel[:height, :width]
    return (c[::2, ::2] + c[1::2, ::2] + c[::2, 1::2] + c[1::2, 1::2]) * np.float32(0.25)


def pyramid(channel: Map, n_levels: int) -> list[Map]:
    """Return the channel and its successive halvings."""
    levels = [channel]
    for _ in range(n_levels - 1):
        levels.append(halve(levels[-1]))
    return levels


def distribution(channel: Map) -> Iterator[tuple[str, float]]:
    """Mean, standard deviation, skewness and percentiles of a channel."""
    values = channel.ravel()
    mean = values.mean()
    centered = values - mean
    variance = np.mean(centered * centered)
    std = np.sqrt(variance)
    yield "mean", mean
    yield "std", std
    yield "skew", np.mean(centered**3) / (variance * std + _EPS)
    ordered = np.sort(values)
    for q in PERCENTILES:
        yield f"p{q:02d}", ordered[int(q / 100 * (len(ordered) - 1))]


def gradients(channel: Map) -> tuple[Map, Map]:
    """Central differences along y and x, without the border."""
    half = np.float32(0.5)
    gy = (channel[2:, 1:-1] - channel[:-2, 1:-1]) * half
    gx = (channel[1:-1, 2:] - channel[1:-1, :-2]) * half
    return gy, gx


def scale_energies(channel: Map) -> Iterator[tuple[str, float]]:
    """How much changes at the scale of this map: gradient, Laplacian and local contrast."""
    gy, gx = gradients(channel)
    magnitude = np.sqrt(gy * gy + gx * gx)
    inner = channel[1:-1, 1:-1]
    around = channel[2:, 1:-1] + channel[:-2, 1:-1] + channel[1:-1, 2:] + channel[1:-1, :-2]
    laplacian = around * np.float32(0.25) - inner
    yield "grad_mean", magnitude.mean()
    yield "grad_std", magnitude.std()
    yield "log_energy", np.sqrt(np.mean(laplacian * laplacian))
    yield "log_skew", np.mean(laplacian**3) / (np.mean(laplacian * laplacian) ** 1.5 + _EPS)
    detail = channel[: channel.shape[0] // 2 * 2, : channel.shape[1] // 2 * 2]
    coarse = halve(detail)
    yield "local_std", np.sqrt(max(float(np.mean(detail * detail) - np.mean(coarse * coarse)), 0.0))


def orientation(channel: Map, smooth_px: int) -> Iterator[tuple[str, float]]:
    """Structure tensor: how strongly, and how uniformly over the tile, the structures point one way."""
    from scipy.ndimage import uniform_filter

    gy, gx = gradients(channel)
    products = [gx * gx, gy * gy, gx * gy]
    jxx, jyy, jxy = (uniform_filter(p, smooth_px, mode="nearest") for p in products)
    trace = jxx + jyy
    strength = np.sqrt((jxx - jyy) ** 2 + np.float32(4.0) * jxy**2)
    coherence = strength / (trace + np.float32(1e-5))
    yield "coherence_mean", coherence.mean()
    yield "coherence_std", coherence.std()
    gxx, gyy, gxy = (float(p.mean()) for p in products)
    yield "alignment", np.sqrt((gxx - gyy) ** 2 + 4.0 * gxy**2) / (gxx + gyy + 1e-5)


def binary_patterns(grey: Map) -> Iterator[tuple[str, float]]:
    """Histogram of the ten rotation-invariant uniform local binary patterns of eight neighbours."""
    from skimage.feature import local_binary_pattern

    codes = local_binary_pattern(np.rint(grey).astype(np.uint8), P=8, R=1, method="uniform")
    counts = np.bincount(codes.astype(np.int64).ravel(), minlength=10)
    for code, share in enumerate(counts / counts.sum()):
        yield f"lbp{code}", share
