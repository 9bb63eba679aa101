"""Values of the rows of a table that come in another order than the table's, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_VALUES = 1 << 22
"""Values of a chunk in a store: 16 MB."""
_MOST_ROWS = 1 << 16

Piece = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Rows of the table, and their values in some of its columns."""


@dataclass(frozen=True, eq=False)
class ScatteredRows:
    """A layer, or a table, whose rows are made some at a time, in whatever order a method goes through the spots.

    Attributes
    ----------
    shape
        Rows and columns.
    columns
        Which columns there are values of; the others are NaN, and so are rows that never come.
    pieces
        Makes them, anew at every call: every row once.
    """

    shape: tuple[int, int]
    columns: NDArray[np.int64]
    pieces: Callable[[], Iterable[Piece]]

    @property
    def step(self) -> int:
        """Rows of a chunk in a store."""
        return int(np.clip(_VALUES // max(self.shape[1], 1), 1, min(_MOST_ROWS, max(self.shape[0], 1))))

    def whole(self) -> NDArray[np.float32]:
        """All values at once."""
        out = np.full(self.shape, np.nan, dtype=np.float32)
        every = self.columns.size == self.shape[1] and np.array_equal(self.columns, np.arange(self.shape[1]))
        for rows, values in self.pieces():
            if every:
                out[rows] = values
            else:
                out[np.ix_(rows, self.columns)] = values
        return out

    def in_order(self, spill: Path, let_through: Callable[[], None]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Chunk by chunk in the order of the table, sorted by way of a file.

        Parameters
        ----------
        spill
            The file, which is made, and deleted at the end.
        let_through
            Called where it may be interrupted.
        """
        with spill.open("w+b", buffering=0) as file:
            there = self._put_down(file, let_through)
            for start in range(0, self.shape[0], self.step):
                rows = slice(start, min(start + self.step, self.shape[0]))
                out = np.full((rows.stop - start, self.shape[1]), np.nan, dtype=np.float32)
                out[:, self.columns] = self._picked_up(file, rows)
                out[~there[rows]] = np.nan
                yield rows, out
                let_through()
        spill.unlink()

    def _put_down(self, file: FileIO, let_through: Callable[[], None]) -> NDArray[np.bool_]:
        """Write every row where it belongs; returns which rows came."""
        there = np.zeros(self.shape[0], dtype=bool)
        for rows, values in self.pieces():
            for run in np.split(np.arange(rows.size), np.flatnonzero(np.diff(rows) != 1) + 1):
                file.seek(int(rows[run[0]]) * self._row_bytes)
                _write_all(file, values[run])
            there[rows] = True
            let_through()
        file.truncate(self.shape[0] * self._row_bytes)
        return there

    def _picked_up(self, file: FileIO, rows: slice) -> NDArray[np.float32]:
        n_rows, n_columns = rows.stop - rows.start, self.columns.size
        file.seek(rows.start * self._row_bytes)
        return np.fromfile(file, dtype=np.float32, count=n_rows * n_columns).reshape(n_rows, n_columns)

    @property
    def _row_bytes(self) -> int:
        return self.columns.size * np.dtype(np.float32).itemsize


def _write_all(file: FileIO, values: NDArray[np.float32]) -> None:
    """A full disk may take a part of what is written, and say so only at the next."""
    left = memoryview(np.ascontiguousarray(values, dtype=np.float32)).cast("B")
    while left:
        left = left[file.write(left) :]
