"""Values that are made some rows at a time, where all at once would not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._progress import part

_MOST_ROWS = 1024
_BLOCK_VALUES = 1 << 22
"""Values of a block: 16 MB in single precision."""
_STEP = 64


@dataclass(frozen=True, eq=False)
class RowBlocks:
    """Values (n, width) that are made some rows at a time, where all at once would not fit into memory.

    Attributes
    ----------
    n
        Number of rows.
    width
        Number of columns.
    make
        Values (rows, width) of a slice of the rows.
    step
        Rows of a block. Values are asked for in these blocks alone, so that they are the same bits whoever asks.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.models import RowBlocks
    >>> rows = np.arange(5, dtype=np.float32)
    >>> blocks = RowBlocks(5, 2, lambda some: np.stack([rows[some], -rows[some]], axis=1), step=2)
    >>> [part.shape for _, part in blocks.parts()]
    [(2, 2), (2, 2), (1, 2)]
    """

    n: int
    width: int
    make: Callable[[slice], NDArray[np.float32]]
    step: int

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> RowBlocks:
        """Values that are there already."""
        n, width = values.shape
        return cls(n, width, values.__getitem__, block_rows(width))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.n, self.width

    def slices(self) -> list[slice]:
        """The blocks."""
        return [slice(start, min(start + self.step, self.n)) for start in range(0, self.n, self.step)]

    def parts(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Every block, one after the other, and its rows."""
        for rows in part(self.slices(), desc="predict", unit="block"):
            yield rows, self.make(rows)

    def whole(self) -> NDArray[np.float32]:
        """All values at once."""
        out = np.empty(self.shape, dtype=np.float32)
        for rows, values in self.parts():
            out[rows] = values
        return out

    def change(
        self, by: Callable[[NDArray[np.float32]], NDArray[np.float32]], *, width: int | None = None
    ) -> RowBlocks:
        """What ``by`` makes of the values of a block."""
        return RowBlocks(self.n, self.width if width is None else width, lambda rows: by(self.make(rows)), self.step)


def block_rows(width: int) -> int:
    """Rows of a block of so many columns."""
    return int(np.clip(_BLOCK_VALUES // max(width, 1) // _STEP * _STEP, _STEP, _MOST_ROWS))
