"""Values that stand in a store and not in memory: read when they are asked for, and only while they are the ones meant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from ._scattered import ScatteredRows


@dataclass(frozen=True)
class StoredRows:
    """An array in a store, as dask reads from it.

    Attributes
    ----------
    store, place
        Root folder, and path of the array in it.
    mark
        By which the array is told from another one that was put in its place.
    shape
        Rows and columns.
    step
        Rows of a chunk.
    """

    store: Path
    place: str
    mark: str
    shape: tuple[int, int]
    step: int

    dtype = np.dtype(np.float32)
    ndim = 2

    @classmethod
    def of(cls, blocks: ScatteredRows, store: Path, place: str) -> StoredRows:
        """What will stand in a store once the blocks are written there."""
        return cls(store.resolve(), place, uuid4().hex, blocks.shape, blocks.step)

    def __getitem__(self, index: Any) -> NDArray[np.float32]:
        """Read a part.

        Raises
        ------
        OSError
            If the array is there no more, or was replaced.
        """
        import zarr

        from ._disk import ROWS_MARK

        folder = self.store / self.place
        array = zarr.open_array(folder, mode="r") if folder.is_dir() else None
        if array is None or array.attrs.get(ROWS_MARK) != self.mark:
            what = "is not there any more" if array is None else "was replaced since"
            msg = (
                f"These values are read from the store {self.store} when they are used, and {self.place} in it {what}: read "
                "the object anew, or make the result again. Before a table is deleted from the store to write it anew, put what "
                f"is read from there into memory: `{self._held} = {self._held}.compute()`."
            )
            raise OSError(msg)
        return np.asarray(array[index])

    @property
    def _held(self) -> str:
        slot, *key = self.place.split("/")[2:]
        return f"table.{slot}" + "".join(f"[{part!r}]" for part in key)

    def lazy(self) -> Any:
        """The array for dask."""
        import dask.array

        width = max(self.shape[1], 1)
        chunks = (self.step, width)
        return dask.array.from_array(self, chunks=chunks, name=f"phg2st-{self.mark}", fancy=False)
