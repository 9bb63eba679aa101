"""The statistics of many overlapping tiles of one region at once: maps are filtered once, and pooled at every tile.

The same statistics as of tiles cut out (`_texture.py`), but for these differences: tiles start at every fourth pixel, what
filters see beyond a tile is its surroundings, and percentiles come from histograms. What a peak is compared with ends where the tile does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._texture_binary import binary_shares
from ._texture_channels import STEP, Channels
from ._texture_maps import PERCENTILES, Map, gradients, halve
from ._texture_pooled_nuclei import pooled_nuclei
from ._texture_sums import Histograms, Scale, Sums, Windows, fold, in_batches, percentiles, window_sums

Named = Iterator[tuple[str, Sums]]

_EPS = 1e-6
_OPTICAL = Scale(0.0, 0.15)
_LAB = {"lightness": Scale(80.0, 30.0), "green_red": Scale(20.0, 30.0), "blue_yellow": Scale(-10.0, 30.0)}
"""Around what stained tissue and glass have."""
_SMOOTH_PX = 9


class Places(NamedTuple):
    """Windows of the same tiles on two grids, of half and of a fourth of the pixels along a side."""

    halves: Windows
    fourths: Windows

    @classmethod
    def at(cls, top: NDArray[np.int64], left: NDArray[np.int64], input_px: int) -> Places:
        """Tiles that start at the given fourths."""
        return cls(Windows(2 * top, 2 * left, input_px // 2), Windows(top, left, input_px // STEP))


def describe_places(channels: Channels, places: Places, pixel_um: float) -> Named:
    """Every statistic of every tile, by name.

    Parameters
    ----------
    channels
        What is seen of the region.
    places
        Where the tiles are.
    pixel_um
        Side of a pixel of the tiles.
    """
    fourths = places.fourths
    n_px = (fourths.side * STEP) ** 2
    yield "tissue_fraction", window_sums(channels.tissue, fourths) / n_px
    yield "dense_fraction", window_sums(channels.dense, fourths) / n_px
    for name, channel in channels.stains.items():
        sums = [window_sums(fold(power), fourths) for power in _powers(channel)]
        yield from _named(name, _distribution(channel, _OPTICAL, places.halves, sums))
    for name, scale in _LAB.items():
        channel = channels.lab[name]
        off = channel.astype(np.float64) - scale.center
        sums = [window_sums(power, fourths) for power in _powers(off)]
        yield from _named(name, _distribution(channel, scale, fourths, sums))
    for name in ("haematoxylin", "eosin"):
        yield from _textures(name, channels.stains[name], places)
    yield "haematoxylin_eosin_corr", _correlation(channels, fourths)
    yield from _named("grey_s1", _patterns(channels.grey, places.halves, folded=True))
    yield from _named("grey_s2", _patterns(halve(channels.grey), fourths, folded=False))
    yield from _named("structure", _orientation(channels.stains["density"], fourths))
    yield from _named("nuclei", pooled_nuclei(channels.stains["haematoxylin"], places.halves, 2 * pixel_um))


def _named(prefix: str, values: Named) -> Named:
    for name, value in values:
        yield f"{prefix}_{name}", value


def _powers(channel: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    square = channel * channel
    return channel, square, square * channel


def _distribution(channel: Map, scale: Scale, windows: Windows, powers: list[Sums]) -> Named:
    """Mean, standard deviation, skewness and percentiles; ``powers`` are sums of what lies above the scale's center."""
    n_px = windows.side**2
    off, square, cube = (power / n_px for power in powers)
    variance = np.maximum(square - off**2, 0.0)
    std = np.sqrt(variance)
    yield "mean", off + scale.center
    yield "std", std
    yield "skew", (cube - 3.0 * off * square + 2.0 * off**3) / (variance * std + _EPS)
    shares = np.array([(int(q / 100 * (n_px - 1)) + 0.5) / n_px for q in PERCENTILES])
    histograms = Histograms(channel, scale, 4 if windows.side >= 80 else 2)
    found = np.empty((len(PERCENTILES), len(off)))
    for part, batch in in_batches(windows):
        found[:, part] = percentiles(histograms.of(batch), scale, shares).T
    for q, values in zip(PERCENTILES, found, strict=True):
        yield f"p{q:02d}", values


def _textures(name: str, stain: Map, places: Places) -> Named:
    """Energies at four scales: the first by pixels of the halved map, the others by pixels of its successive halvings.

    A halved map begins at the tile's own corner: maps of block means are kept at every fourth, and every ``step``-th of
    them is looked at from there on.
    """
    fourths, coarse = places.fourths, halve(stain)
    n_px = places.halves.side**2
    sums = [window_sums(fold(part), fourths) for part in _changes(stain, 1)]
    detail = window_sums(fold(stain**2), fourths) / n_px
    blocks = window_sums(coarse**2, fourths) / fourths.side**2
    yield from _named(f"{name}_s1", _energies([part / n_px for part in sums], detail, blocks))
    level, step = coarse, 1
    for scale in (2, 3, 4):
        n_steps = fourths.side // step
        inner = Windows(fourths.top + step, fourths.left + step, fourths.side - 2 * step)
        sums = [window_sums(part, inner, step=step) / (n_steps - 2) ** 2 for part in _changes(level, step)]
        detail = window_sums(level**2, fourths, step=step) / n_steps**2
        level = _blocks(level, step)
        step *= 2
        blocks = window_sums(level**2, fourths, step=step) / (n_steps // 2) ** 2
        yield from _named(f"{name}_s{scale}", _energies(sums, detail, blocks))


def _changes(channel: Map, step: int) -> Iterator[Map]:
    """Gradient and Laplacian between pixels ``step`` apart, in powers; 0 where the map ends."""
    up, down = channel[: -2 * step, step:-step], channel[2 * step :, step:-step]
    left, right = channel[step:-step, : -2 * step], channel[step:-step, 2 * step :]
    squared = ((down - up) ** 2 + (right - left) ** 2) * np.float32(0.25)
    laplacian = (up + down + left + right) * np.float32(0.25) - channel[step:-step, step:-step]
    second = laplacian * laplacian
    for part in (np.sqrt(squared), squared, second, second * laplacian):
        yield np.pad(part, step)


def _blocks(channel: Map, step: int) -> Map:
    """Means of 2 x 2 pixels ``step`` apart; 0 where the map ends."""
    rows = channel[:-step] + channel[step:]
    return np.pad((rows[:, :-step] + rows[:, step:]) * np.float32(0.25), ((0, step), (0, step)))


def _energies(sums: list[Sums], detail: Sums, blocks: Sums) -> Named:
    magnitude, squared, second, third = sums
    second = np.maximum(second, 0.0)
    yield "grad_mean", magnitude
    yield "grad_std", np.sqrt(np.maximum(squared - magnitude**2, 0.0))
    yield "log_energy", np.sqrt(second)
    yield "log_skew", third / (second**1.5 + _EPS)
    yield "local_std", np.sqrt(np.maximum(detail - blocks, 0.0))


def _correlation(channels: Channels, fourths: Windows) -> Sums:
    h, e = (halve(channels.stains[name]).astype(np.float64) for name in ("haematoxylin", "eosin"))
    n_px = fourths.side**2
    mean_h, mean_e, hh, ee, he = (window_sums(part, fourths) / n_px for part in (h, e, h * h, e * e, h * e))
    spread = np.sqrt(np.maximum(hh - mean_h**2, 0.0) * np.maximum(ee - mean_e**2, 0.0))
    return np.where(spread > 1e-5, (he - mean_h * mean_e) / np.maximum(spread, 1e-5), 0.0)


def _patterns(grey: Map, windows: Windows, *, folded: bool) -> Named:
    for code, share in enumerate(binary_shares(grey, windows, folded=folded).T):
        yield f"lbp{code}", share


def _orientation(density: Map, fourths: Windows) -> Named:
    from scipy.ndimage import uniform_filter

    gy, gx = gradients(density)
    products = [np.pad(p, 1) for p in (gx * gx, gy * gy, gx * gy)]
    jxx, jyy, jxy = (uniform_filter(p, _SMOOTH_PX, mode="nearest") for p in products)
    coherence = np.sqrt((jxx - jyy) ** 2 + np.float32(4.0) * jxy**2) / (jxx + jyy + np.float32(1e-5))
    n_px = 4 * fourths.side**2
    mean, square, gxx, gyy, gxy = (
        window_sums(fold(part), fourths) / n_px for part in (coherence, coherence**2, *products)
    )
    yield "coherence_mean", mean
    yield "coherence_std", np.sqrt(np.maximum(square - mean**2, 0.0))
    yield "alignment", np.sqrt((gxx - gyy) ** 2 + 4.0 * gxy**2) / (gxx + gyy + 1e-5)
