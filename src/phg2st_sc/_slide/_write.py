"""Write results on the table of an AnnData or SpatialData, and into the zarr store behind the latter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._behind import table_folder
from ._disk import StoreWrite, without_format_news
from ._open import is_spatialdata
from ._owner import refuse_foreign_on_disk
from ._record import check_table
from ._scattered import ScatteredRows
from ._stored_rows import StoredRows
from ._update import FRAMES, SlotUpdate, applied, checked

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


def write_slots(data: AnnData | SpatialData, table: AnnData, update: SlotUpdate, *, write: bool = False) -> None:
    """Set the slots of one call on a table: all of them or none.

    Parameters
    ----------
    data
        The object that the user holds.
    table
        ``data`` itself, or one of its tables.
    update
        What to set and what to remove.
    write
        Also store these keys, and nothing else, in the zarr store behind a SpatialData. If that fails, the store keeps
        its old content; the results stay in memory. Layers of :class:`ScatteredRows` are written there block by block and read
        from there when they are used; if that fails, the table in memory stays as it was too.

    Raises
    ------
    TypeError, ValueError
        If a value cannot be stored or does not fit the table, or a slot exists that ``update.owner`` did not write;
        nothing was changed.
    ValueError
        If ``write=True`` and there is no store behind ``data``, or the table in it is not this one.
    StoreLockedError
        If another process writes to the store.
    """
    check_table(table)
    update = checked(update, table)
    if is_spatialdata(data):
        _check_names(table, update)
    target = table_folder(data, table) if write else None
    lazy = {} if target is None else _lazy_layers(update, target)
    if target is not None and lazy:
        there = replace(update, layers={**update.layers, **{key: rows.lazy() for key, rows in lazy.items()}})
        with applied(there, table):
            _persist(target, table, update, lazy)
        return
    with applied(update, table):
        pass
    if target is None:
        return
    stored = False
    try:
        _persist(target, table, update)
        stored = True
    finally:
        if not stored:
            _note_in_memory()


def _note_in_memory() -> None:
    import sys

    error = sys.exception()
    if error is not None:
        error.add_note("The results are in memory: call again with `write=True` once the cause is mended.")


def _check_names(table: AnnData, update: SlotUpdate) -> None:
    """SpatialData allows letters, digits, ``_``, ``-``, ``.``, and no two names that differ in case only."""
    removed = set(update.removed(lambda owner: owner.wrote(table)))
    for slot, key, _ in update.items():
        if re.fullmatch(r"[\w.\-]+", key, flags=re.ASCII) is None or key.startswith("__") or set(key) == {"."}:
            msg = f"{slot}[{key!r}]: a SpatialData allows only letters, digits, '_', '-' and '.' in keys."
            raise ValueError(msg)
        others = [*getattr(table, slot), *getattr(update, slot)]
        twins = [o for o in others if isinstance(o, str) and o != key and o.lower() == key.lower()]
        twins = [other for other in twins if (slot, other) not in removed]
        if twins:
            msg = f"{slot}[{key!r}]: a SpatialData does not allow keys that differ in case only; there is {twins[0]!r}."
            raise ValueError(msg)


def _lazy_layers(update: SlotUpdate, folder: Path) -> dict[str, StoredRows]:
    """Layers that are too large for memory, as they will stand in the store."""
    store = folder.parent.parent
    return {
        key: StoredRows.of(value, store, f"tables/{folder.name}/layers/{key}")
        for key, value in update.layers.items()
        if isinstance(value, ScatteredRows)
    }


@without_format_news()
def _persist(folder: Path, table: AnnData, update: SlotUpdate, lazy: Mapping[str, StoredRows] | None = None) -> None:
    with StoreWrite(folder.parent.parent, folder.name) as change:
        keys = dict(_on_disk(folder, update))
        if update.owner is not None:
            refuse_foreign_on_disk(folder, keys, update.owner)
        for (slot, key), value in keys.items():
            if value is None:
                change.remove(slot, key)
            elif lazy and slot == "layers" and key[0] in lazy:
                change.put_rows(slot, key, value[0], lazy[key[0]].mark)
            elif slot not in FRAMES:
                change.put(slot, key, value[0])
        for frame in FRAMES:
            if columns := list(getattr(update, frame)):
                change.put_columns(frame, getattr(table, frame)[columns])


def _on_disk(folder: Path, update: SlotUpdate) -> Iterator[tuple[tuple[str, tuple[str, ...]], tuple[Any] | None]]:
    """Yield keys and their values, ``None`` for what is taken away.

    Of what several results share only the part of this one: another process may have added others on disk.
    """
    shared, record = ((), ("",)) if update.owner is None else (update.owner.shared, update.owner.record)
    for slot, key, value in update.items():
        if slot != "uns" or key not in shared:
            yield (slot, (key,)), (value,)
    for slot, key in update.removed(lambda owner: owner.wrote_on_disk(folder)):
        yield (slot, (key,)), None
    for key in shared:
        part, value = record[-1], update.uns.get(key, {})
        if part not in value:
            yield ("uns", (key, part)), None
        elif (folder / "uns" / key).is_dir():
            yield ("uns", (key, part)), (value[part],)
        else:
            yield ("uns", (key,)), ({part: value[part]},)
