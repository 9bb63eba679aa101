"""Predictions (n, C) that are made a few spots at a time: of thousands of genes, all at once do not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._progress import part

Array = NDArray[np.float64]

_MOST_ROWS = 1024
_VALUES = 1 << 22
"""Values of a block: 32 MB in double precision, of which a few are held at a time."""
_STEP = 64


@dataclass(frozen=True, eq=False)
class Field:
    """A value of every column at every spot.

    Attributes
    ----------
    n
        Number of spots.
    width
        Number of columns.
    at
        Values (rows, width) at a slice of the spots. They do not depend on how the spots are sliced.
    narrow
        The field of a slice of its columns, where that takes less than all of them do; else ``None``.
    """

    n: int
    width: int
    at: Callable[[slice], Array]
    narrow: Callable[[slice], Field] | None = None

    @classmethod
    def later(cls, n: int, width: int, make: Callable[[slice], Field]) -> Field:
        """The field of some columns as ``make`` makes it, which is worked out when it is first asked for."""
        made: list[Field] = []

        def at(rows: slice) -> Array:
            if not made:
                made.append(make(slice(0, width)))
            return made[0].at(rows)

        return cls(n, width, at, make)

    def times(self, factor: Array | float) -> Field:
        """Every column times a factor, or times one of its own."""
        narrow = self.narrow
        few = None
        if narrow is not None:
            own = np.broadcast_to(factor, self.width)
            few = lambda columns: narrow(columns).times(own[columns])  # noqa: E731
        return Field(self.n, self.width, lambda rows: self.at(rows) * factor, few)

    def plus(self, other: Field) -> Field:
        """The sum of two."""
        one, two = self.narrow, other.narrow
        few = None if one is None or two is None else lambda columns: one(columns).plus(two(columns))
        return Field(self.n, self.width, lambda rows: self.at(rows) + other.at(rows), few)

    @classmethod
    def of(cls, values: Array) -> Field:
        """The field of values (n, width) that are there already."""
        return cls(values.shape[0], values.shape[1], values.__getitem__)

    def change(self, by: Callable[[Array, slice], Array], *, width: int | None = None) -> Field:
        """The field of what ``by`` makes of some values, given with the slice of their spots."""
        return Field(self.n, self.width if width is None else width, lambda rows: by(self.at(rows), rows))

    def blocks(self) -> Iterator[slice]:
        """Slices of the spots, one after the other."""
        rows = int(np.clip(_VALUES // max(self.width, 1) // _STEP * _STEP, _STEP, _MOST_ROWS))
        blocks = [slice(start, min(start + rows, self.n)) for start in range(0, self.n, rows)]
        return iter(part(blocks, desc="predict", unit="block"))

    def whole(self) -> Array:
        """All values (n, width)."""
        out = np.empty((self.n, self.width))
        for rows in self.blocks():
            out[rows] = self.at(rows)
        return out
