"""Sums of maps over the windows of many places at once: every pixel is added once, whatever number of windows it is in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map

Sums = NDArray[np.float64]

N_BINS = 160
"""Of a percentile; within one the values are taken for evenly spread."""
_BAND = 8
"""Rows of cells that are counted at once: few enough to stay in the cache of a processor."""


class Windows(NamedTuple):
    """Square windows on a grid: first rows and columns (n,), and the side."""

    top: NDArray[np.int64]
    left: NDArray[np.int64]
    side: int

    def inner(self, border: int) -> Windows:
        """Return the same windows without their outermost ``border`` pixels."""
        return Windows(self.top + border, self.left + border, self.side - 2 * border)


def in_batches(windows: Windows, size: int = 2048) -> Iterator[tuple[slice, Windows]]:
    """Windows, some at a time, so that what is held of each does not add up."""
    for start in range(0, len(windows.top), size):
        part = slice(start, start + size)
        yield part, Windows(windows.top[part], windows.left[part], windows.side)


def fold(channel: NDArray[Any]) -> NDArray[Any]:
    """Sum over 2 x 2 pixels."""
    rows = channel[::2] + channel[1::2]
    out: NDArray[Any] = rows[:, ::2] + rows[:, 1::2]
    return out


def cut(channel: NDArray[Any], top: NDArray[np.int64], left: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[Any]:
    """(n, *shape) parts of a map."""
    out: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(channel, shape)[top, left]
    return out


def window_sums(channel: NDArray[Any], windows: Windows, *, step: int = 1) -> Sums:
    """(n,) sums of a map over every ``step``-th pixel of the windows, from their first on.

    One running sum per phase of the step, in float64: whatever the step, every pixel of the map is added once.
    """
    table = _running(channel, step)
    (top, y), (left, x) = np.divmod(windows.top, step), np.divmod(windows.left, step)
    bottom, right = top + windows.side // step, left + windows.side // step
    found: Sums = (
        table[bottom, y, right, x] - table[top, y, right, x] - table[bottom, y, left, x] + table[top, y, left, x]
    )
    return found


def _running(channel: NDArray[Any], step: int) -> Sums:
    """(rows + 1, step, columns + 1, step) sums of all that lies above and to the left, in the same phase."""
    height, width = (-(-size // step) for size in channel.shape)
    table = np.zeros((height + 1, step, width + 1, step))
    if step == 1:
        np.cumsum(channel, axis=1, dtype=np.float64, out=table[1:, 0, 1:, 0])
    else:
        padded = np.zeros((height * step, width * step))
        padded[: channel.shape[0], : channel.shape[1]] = channel
        table[1:, :, 1:] = padded.reshape(height, step, width, step)
        _accumulate(table.transpose(2, 0, 1, 3))
    _accumulate(table)
    return table


def _accumulate(table: NDArray[Any]) -> None:
    """Add up along the first axis, in place; slice by slice, which is many times quicker than `numpy.cumsum`."""
    for before, after in pairwise(table):
        after += before


class Scale(NamedTuple):
    """A squeezed scale of values: bins are fine around ``center`` and wider away from it, without an end.

    The bin width at ``center`` is ``2 * width / n_bins``, and four times that at ``width`` from it.
    """

    center: float
    width: float
    n_bins: int = N_BINS

    def bins(self, channel: Map) -> NDArray[np.int64]:
        """Which bin every value falls into."""
        off = channel - np.float32(self.center)
        squeezed = off / (np.abs(off) + np.float32(self.width))
        half = np.float32(self.n_bins // 2)
        return (squeezed * (half - 1) + np.float32(half + 0.5)).astype(np.int64)

    def value(self, at: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return values at places along the bins; bin i reaches from i to i + 1."""
        half = self.n_bins // 2
        squeezed = np.clip((at - half - 0.5) / (half - 1), -0.999, 0.999)
        return self.center + self.width * squeezed / (1.0 - np.abs(squeezed))


class Histograms:
    """Histograms of a map in any window.

    Parameters
    ----------
    channel
        What its sides have beyond a multiple of ``cell`` is not looked at.
    scale
        Where the bins lie.
    cell
        Side of the cells, in pixels, that are counted as one.
    """

    def __init__(self, channel: Map, scale: Scale, cell: int) -> None:
        self._table, self._cell = _running_histograms(channel, scale, cell), cell

    def of(self, windows: Windows) -> Sums:
        """(n, bins) how much of each window falls into each bin; of a cell cut by a window the part within it counts."""
        table, cell = self._table, self._cell
        side = windows.side // cell
        found = np.zeros((len(windows.top), table.shape[-1]))
        for y, wy in _between(windows.top, cell):
            for x, wx in _between(windows.left, cell):
                parts = table[y + side, x + side] - table[y, x + side] - table[y + side, x] + table[y, x]
                found += (wy * wx)[:, None] * parts
        return found


def _running_histograms(channel: Map, scale: Scale, cell: int) -> NDArray[np.uint16]:
    """(rows + 1, columns + 1, bins) counts of all cells above and to the left, without what is beyond 16 bits.

    A window has fewer pixels than 16 bits count, so differences are whole again.
    """
    rows, cols = channel.shape[0] // cell, channel.shape[1] // cell
    table = np.zeros((rows + 1, cols + 1, scale.n_bins), dtype=np.uint16)
    for first in range(0, rows, _BAND):
        last = min(first + _BAND, rows)
        keys = scale.bins(channel[first * cell : last * cell, : cols * cell]).reshape(-1, cell, cols, cell)
        number = np.arange(last - first)[:, None, None, None] * cols + np.arange(cols)[None, None, :, None]
        keys += number * scale.n_bins
        counts = np.bincount(keys.ravel(), minlength=(last - first) * cols * scale.n_bins)
        table[first + 1 : last + 1, 1:] = counts.reshape(-1, cols, scale.n_bins)
    _accumulate(table)
    _accumulate(table.transpose(1, 0, 2))
    return table


def _between(start: NDArray[np.int64], cell: int) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Return the two cells that a start lies between, and the share of each."""
    first, rest = np.divmod(start, cell)
    share = rest / cell
    return [(first, 1.0 - share), (first + (rest > 0), share)]


def percentiles(counts: NDArray[np.float64], scale: Scale, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, q) values below which the given shares of the counted values lie."""
    below = np.cumsum(counts, axis=1)
    wanted = shares[None, :] * below[:, -1:]
    at = (below[:, None, :] < wanted[..., None]).sum(axis=-1)
    at = np.minimum(at, counts.shape[1] - 1)
    inside = np.take_along_axis(counts, at, axis=1)
    before = np.take_along_axis(below, at, axis=1) - inside
    return scale.value(at + (wanted - before) / np.maximum(inside, 1e-9))


def otsu(counts: NDArray[np.float64], scale: Scale) -> NDArray[np.float64]:
    """(n,) thresholds that part the counted values best into two classes, after Otsu (1979)."""
    values = scale.value(np.arange(counts.shape[1]) + 0.5)
    below, above = (np.cumsum(counts, axis=1), np.cumsum(counts[:, ::-1], axis=1)[:, ::-1])
    sums = np.cumsum(counts * values, axis=1)
    total = sums[:, -1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums[:, :-1] / below[:, :-1] - (total - sums[:, :-1]) / above[:, 1:]
    between = np.nan_to_num(below[:, :-1] * above[:, 1:] * apart**2)
    best = between.argmax(axis=1)
    # Around the best cut, as a parabola: finer than a bin.
    rows = np.arange(len(best))
    left = between[rows, np.maximum(best - 1, 0)]
    right = between[rows, np.minimum(best + 1, between.shape[1] - 1)]
    bend = 2.0 * between[rows, best] - left - right
    shift = np.where(bend > 0, 0.5 * (right - left) / np.where(bend > 0, bend, 1.0), 0.0)
    return scale.value(best + 1.0 + np.clip(shift, -0.5, 0.5))
