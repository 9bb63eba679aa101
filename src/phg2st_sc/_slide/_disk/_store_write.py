"""Change parts of a zarr store on disk so that it holds either all of the new content, or all of the old.

New content is staged in a folder of the store first. Then what is there and what is to come are exchanged by renaming,
under a journal, while a mark on the table says that it is neither old nor new. A failure is undone; where even that is
impossible because the process was killed, the next write, or :func:`phg2st_sc.io.recover`, completes the exchange.
"""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from .._scattered import ScatteredRows
from ._exchange import Exchange
from ._interrupts import HeldInterrupts
from ._journal import FRAMES, MARK, TABLES, Item, Journal
from ._metadata import columns, is_consolidated
from ._recover import take_settled
from ._staging import StagingStore

if TYPE_CHECKING:
    import pandas as pd

_NEW, _ROWS = "new", "rows"
_ARRAY = {"encoding-type": "array", "encoding-version": "0.2.0"}
ROWS_MARK = "phg2st_written"
"""Attribute of an array that was written block by block."""
_GROUP_FILES = ("zarr.json", ".zgroup", ".zattrs")


@contextmanager
def without_format_news() -> Iterator[None]:
    """Keep anndata's announcement of its next default from a user who chose nothing about the layout of the store."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"zarr v3 autosharding will be the default", category=UserWarning)
        yield


class StoreWrite:
    """One change of a store, as a context: made at the end of the body, given up if that raises.

    Parameters
    ----------
    store
        Root folder of the zarr store.
    table
        Name of the table that is changed, or that a changed table belongs to.

    Raises
    ------
    StoreLockedError
        If another process writes to the store.
    ValueError
        If the store is read-only, or damaged.
    """

    def __init__(self, store: Path, table: str) -> None:
        self.store = store.resolve()
        self.folder = self.store / TABLES / table
        self._table = table
        self._items: list[Item] = []
        self._exchange: Exchange | None = None
        self._intact = True
        self._interrupts = HeldInterrupts()

    def __enter__(self) -> Self:
        import zarr

        with ExitStack() as stack:
            stack.enter_context(self._interrupts)
            stack.push(self._say_what_is_there)
            existing = zarr.open_group(self.folder, mode="r", use_consolidated=False)
            self._hold = take_settled(self.store)
            self._staging = StagingStore(self._hold.work / _NEW)
            stack.push(self._let_go)
            self._group = zarr.open_group(self._staging, mode="w", zarr_format=existing.metadata.zarr_format)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self._make()

    def put(self, slot: str, key: tuple[str, ...], value: Any, attributes: Mapping[str, Any] | None = None) -> None:
        """Stage new content of a key, and attributes of its group."""
        place = self._group.require_group("/".join([slot, *key[:-1]]))
        _write(place, key[-1], value)
        if attributes:
            place[key[-1]].attrs.update(attributes)
        self._note(slot, key, new=True)

    def put_rows(self, slot: str, key: tuple[str, ...], blocks: ScatteredRows, mark: str) -> None:
        """Stage an array block by block, as anndata would write it; ``mark`` tells it from any that may take its place."""
        place = self._group.require_group("/".join([slot, *key[:-1]]))
        array = place.create_array(
            key[-1],
            shape=blocks.shape,
            dtype=np.float32,
            chunks=(blocks.step, max(blocks.shape[1], 1)),
            fill_value=np.nan,
            overwrite=True,
        )
        array.attrs.update({**_ARRAY, ROWS_MARK: mark})
        for rows, values in blocks.in_order(self._hold.work / _ROWS, self._interrupts.let_through):
            array[rows] = values
        if slot != TABLES:
            self._note(slot, key, new=True)

    def put_columns(self, frame: str, values: pd.DataFrame) -> None:
        """Stage new columns of ``obs`` or ``var``."""
        _write(self._group, frame, values)
        for key in values.columns:
            self._note(frame, (str(key),), new=True)

    def remove(self, slot: str, key: tuple[str, ...]) -> None:
        """Take a key away, where it is there."""
        self._note(slot, key, new=False)

    def _note(self, slot: str, key: tuple[str, ...], *, new: bool) -> None:
        base = self.store if slot == TABLES else self.folder
        old = os.path.lexists(base / slot / Path(*key))
        if new or old:
            self._items.append(Item(slot, key, new=new, old=old))
        self._interrupts.let_through()

    def _make(self) -> None:
        if not self._items:
            return
        self._put_mark()
        self._make_groups()
        exchange = Exchange(self.store, self._journal())
        exchange.check()
        exchange.prepare()
        exchange.journal.write(self._hold.work)
        self._exchange = exchange
        exchange.forward()

    def _let_go(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release the store, after undoing what was begun where something failed."""
        if error is not None:
            self._staging.gate.close()
            self._undo()
        try:
            self._hold.release()
        except OSError:
            self._hold.leave()  # what is there is complete, and the next write tidies up

    def _undo(self) -> None:
        if self._exchange is None:
            return
        self._intact = False
        try:
            self._exchange.backward()
            self._intact = True
        finally:
            if not self._intact:
                self._hold.leave()

    def _say_what_is_there(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        if self._intact:
            error.add_note(f"The store {self.store} holds its old content.")
        else:
            error.add_note(
                f"The store {self.store} is half written: once the cause is mended, call "
                f"`phg2st_sc.io.recover({str(self.store)!r})`."
            )

    def _journal(self) -> Journal:
        changed = {item.slot for item in self._items}
        journal = Journal(
            run=self._hold.run,
            table=self._table,
            items=tuple(self._items),
            columns={frame: columns(self.folder / frame) for frame in FRAMES if frame in changed},
        )
        levels = tuple(group for group in journal.groups() if is_consolidated(self.store / group))
        return replace(journal, levels=levels)

    def _put_mark(self) -> None:
        from anndata.io import write_elem

        record = {
            "run": self._hold.run,
            "slots": np.array([str(item) for item in self._items], dtype=object),
            "since": time.strftime("%Y-%m-%d %H:%M:%S"),
        }
        write_elem(self._group.require_group(MARK.slot), MARK.key[0], record)

    def _make_groups(self) -> None:
        """Make the slots that the table on disk lacks altogether."""
        for slot in dict.fromkeys([MARK.slot, *(item.slot for item in self._items)]):
            target = self.folder / slot
            if slot == TABLES or target.exists():
                continue
            target.mkdir()
            for name in _GROUP_FILES:
                if (self._hold.work / _NEW / slot / name).is_file():
                    shutil.copy2(self._hold.work / _NEW / slot / name, target / name)


def _write(group: Any, key: str, value: Any) -> None:
    """Write with text as it was read: anndata 0.12 reads that of anndata 0.13, and writes it only if told to."""
    import anndata as ad
    from anndata.io import write_elem

    if ad.settings.allow_write_nullable_strings is not False:
        write_elem(group, key, value)
        return
    with ad.settings.override(allow_write_nullable_strings=True):
        write_elem(group, key, value)
