"""Local binary patterns of a whole map, and their histograms in many windows."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ._texture_maps import Map
from ._texture_sums import Windows, fold, in_batches, window_sums

Bits = NDArray[np.uint8]

_N_CODES = 10
_DIAGONAL = np.float32(0.70711)
"""Eight neighbours on a circle of one pixel: those on the diagonals lie between four pixels."""
_TOP, _LEFT, _BOTTOM, _RIGHT = 0b00001110, 0b00111000, 0b11100000, 0b10000011
"""Which neighbours lie beyond an edge; counter-clockwise, from the right one on."""


def binary_shares(grey: Map, windows: Windows, *, folded: bool) -> NDArray[np.float64]:
    """(n, 10) shares of the ten rotation-invariant uniform patterns in every window.

    As on a tile cut out: what lies beyond the edge of a window counts as darker.

    Parameters
    ----------
    grey
        Grey levels from 0 to 255.
    windows
        In pixels of ``grey``; where ``folded``, they start at even ones.
    folded
        Whether to add up blocks of 2 x 2 pixels first, which is quicker.
    """
    bits = _bits(np.rint(grey).astype(np.uint8))
    codes = _codes()[bits]
    halved = Windows(windows.top // 2, windows.left // 2, windows.side // 2)
    counts = np.empty((len(windows.top), _N_CODES))
    for code in range(_N_CODES):
        found = (codes == code).view(np.uint8)
        counts[:, code] = window_sums(fold(found), halved) if folded else window_sums(found, windows)
    counts += _edges(bits, windows)
    return counts / windows.side**2


def _bits(grey: Bits) -> Bits:
    """Which of the eight neighbours are at least as bright, one bit each; without meaning at the edge of the map."""
    g = np.pad(grey, 1, mode="edge").astype(np.float32)
    center = g[1:-1, 1:-1]
    e, n, w, s = g[1:-1, 2:] - center, g[:-2, 1:-1] - center, g[1:-1, :-2] - center, g[2:, 1:-1] - center
    ne, nw, sw, se = g[:-2, 2:], g[:-2, :-2], g[2:, :-2], g[2:, 2:]
    out = np.zeros(grey.shape, dtype=np.uint8)
    straight, slanted = (e, n, w, s), ((e, n, ne), (n, w, nw), (w, s, sw), (s, e, se))
    for i, (along, (a, b, corner)) in enumerate(zip(straight, slanted, strict=True)):
        out |= (along >= 0).view(np.uint8) << np.uint8(2 * i)
        between = (np.float32(1) - _DIAGONAL) * (a + b) + _DIAGONAL * (corner - center)
        out |= (between >= 0).view(np.uint8) << np.uint8(2 * i + 1)
    return out


@cache
def _codes() -> Bits:
    """How many neighbours are as bright, where these follow each other around the circle; else 9."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9).astype(np.uint8)


def _edges(bits: Bits, windows: Windows) -> NDArray[np.float64]:
    """(n, 10) what the outermost pixels of the windows add to the counts, with what lies beyond taken for darker."""
    y, x, beyond = _rim(windows.side)
    out = np.zeros((len(windows.top), _N_CODES))
    for part, batch in in_batches(windows):
        seen = bits[batch.top[:, None] + y, batch.left[:, None] + x]
        rows = np.arange(len(seen))[:, None] * _N_CODES
        for sign, codes in ((-1, _codes()[seen]), (1, _codes()[seen & ~beyond])):
            counts = np.bincount((rows + codes).ravel(), minlength=len(seen) * _N_CODES)
            out[part] += sign * counts.reshape(-1, _N_CODES)
    return out


@cache
def _rim(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Bits]:
    """Rows and columns of the outermost pixels of a window, and which of their neighbours lie beyond it."""
    beyond = np.zeros((side, side), dtype=np.uint8)
    beyond[0] |= _TOP
    beyond[-1] |= _BOTTOM
    beyond[:, 0] |= _LEFT
    beyond[:, -1] |= _RIGHT
    y, x = np.nonzero(beyond)
    return y, x, beyond[y, x]
