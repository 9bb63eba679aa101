"""Features in a file that other software wrote, and how rows are taken out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Piece = tuple[Rows, NDArray[np.float32]]
"""Which of the wanted rows, and their features."""
_MOST_ROWS, _MOST_COLUMNS = 100_000_000, 65_536
_AT_ONCE = 4096
"""Rows that are read together."""
_PIECE = 16_384
"""Rows that are handed on together."""


@dataclass(frozen=True, eq=False)
class FeatureFile:
    """Features in a file, of which only the rows that are asked for are read.

    Attributes
    ----------
    where
        Path or kind of object, for messages and the record.
    layout
        Software whose layout it has, or ``"table"``.
    shape
        (rows, features).
    read
        Reads the rows that it is given, in pieces: places in what it was given, and features (k, d) float32.
    names
        Name of every row, such as a barcode, where there are any.
    places
        (rows, 2) centres (x, y) of the tiles in full-resolution pixels, where there are any; with ``corners`` their upper
        left corners.
    corners
        Whether ``places`` are corners, and the tile has to be known to find its centre.
    tile_px, tile_um
        Side of a tile in full-resolution pixels and in µm, where the file says so.
    encoder
        Name of the encoder, where the file says so.
    columns
        Name of every feature, in tables.
    """

    where: str
    layout: str
    shape: tuple[int, int]
    read: Callable[[Rows], Iterator[Piece]]
    names: NDArray[np.str_] | None = None
    places: NDArray[np.float64] | None = None
    corners: bool = False
    tile_px: float | None = None
    tile_um: float | None = None
    encoder: str = ""
    columns: tuple[str, ...] = ()


def check_shape(where: str, shape: tuple[int, ...], *, names: int | None = None) -> tuple[int, int]:
    """Return (rows, features), or say what is wrong with the shape that a file says it has."""
    if len(shape) != 2 or not all(shape):
        hint = " One vector for a whole slide says nothing about its spots." if len(shape) == 1 else ""
        msg = f"{where!r}: features of shape {shape}, where (tiles, features) is needed.{hint}"
        raise ValueError(msg)
    if shape[0] > _MOST_ROWS or shape[1] > _MOST_COLUMNS:
        msg = f"{where!r} says that it holds {shape[0]} x {shape[1]} features, which no slide has."
        raise ValueError(msg)
    if names is not None and names != shape[0]:
        msg = f"{where!r}: {shape[0]} rows of features and {names} names or places."
        raise ValueError(msg)
    return int(shape[0]), int(shape[1])


def taken(slices: Callable[[int, int], Any], rows: Rows) -> Iterator[Piece]:
    """Take rows out of what can only be read in slices, a bounded number of them at once, in the order of the file."""
    order = np.argsort(rows, kind="stable")
    for start in np.unique(rows // _AT_ONCE) * _AT_ONCE:
        first, last = np.searchsorted(rows[order], (start, start + _AT_ONCE))
        wanted = order[first:last]
        block = np.asarray(slices(int(start), int(rows[wanted].max()) + 1))
        yield from pieces(block, rows[wanted] - start, wanted)


def pieces(block: NDArray[Any], rows: Rows, wanted: Rows) -> Iterator[Piece]:
    """Rows of a block that is in memory, a bounded number at once: one row may be wanted very often."""
    for first in range(0, len(rows), _PIECE):
        part = slice(first, first + _PIECE)
        with np.errstate(over="ignore"):  # what is too large is refused with the rest that is not finite
            yield wanted[part], block[rows[part]].astype(np.float32)
