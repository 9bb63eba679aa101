"""Write results on the table of an AnnData or SpatialData, and into the zarr store behind the latter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _keys
from .._text import quoted
from ._open import is_spatialdata
from ._record import check_table
from ._store import StoreWrite, without_format_news
from ._update import FRAMES, SlotUpdate, applied, checked

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_COLUMN_ORDER = "column-order"
_INDEX = "_index"
_ROOT_FILES = ("zarr.json", ".zmetadata", ".zgroup", ".zattrs")


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
        its old content; the results stay in memory.

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
    target = _table_folder(data, table) if write else None
    with applied(update, table):
        pass
    if target is None:
        return
    stored = False
    try:
        _persist(data, target, table, update)
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
    removed = set(update.removed())
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


def _store(data: Any) -> Path:
    """Root folder of the store behind ``data``."""
    if not is_spatialdata(data):
        msg = (
            "`write=True` adds to the zarr store behind a SpatialData; an AnnData is saved whole: leave `write` out and "
            "call `adata.write_h5ad(path)` or `adata.write_zarr(path)`."
        )
        raise ValueError(msg)
    if data.path is None:
        msg = "`write=True`, but there is no store behind this SpatialData: call `sdata.write(path)` first."
        raise ValueError(msg)
    path = Path(data.path)
    if not path.is_dir():
        msg = (
            f"`write=True` needs a store in a local folder; {data.path} is none. Leave `write` out and save elsewhere."
        )
        raise ValueError(msg)
    return path


def _table_folder(data: Any, table: AnnData) -> Path:
    """Folder of the table in the store, after making sure that it is the table in memory."""
    import zarr
    from anndata.io import read_elem

    store = _store(data)
    name = next((key for key, value in data.tables.items() if value is table), None)
    if name is None:
        raise ValueError("The table is none of this SpatialData's.")
    folder = store / "tables" / name
    if not folder.is_dir():
        msg = f"Table {name!r} is not in the store {store} yet: call `sdata.write_element({name!r})` first."
        raise ValueError(msg)
    group = zarr.open_group(folder, mode="r", use_consolidated=False)
    for slot, names in (("obs", table.obs_names), ("var", table.var_names)):
        saved = read_elem(group[slot][group[slot].attrs[_INDEX]])
        if not np.array_equal(np.asarray(saved, dtype=object), np.asarray(names, dtype=object)):
            msg = (
                f"Table {name!r} in the store {store} has other {slot}_names than the one in memory, so that new values "
                "cannot be added to it. Write the object to a new path: `sdata.write(path)`."
            )
            raise ValueError(msg)
    return folder


@without_format_news()
def _persist(data: SpatialData, folder: Path, table: AnnData, update: SlotUpdate) -> None:
    with StoreWrite(Path(data.path)) as change:
        staged = _stage(change, folder, table, update)
        for name in _ROOT_FILES:
            change.keep(change.store / name)
        folder = folder.resolve()
        for slot in ("layers", "obsm", "obsp"):
            _exchange(change, folder / slot, staged / slot, getattr(update, slot), update.remove.get(slot, ()))
        for slot in FRAMES:
            _exchange_columns(change, folder / slot, staged / slot, table, update)
        _exchange(change, folder / "uns", staged / "uns", update.uns, update.remove.get("uns", ()))
        data.write_consolidated_metadata()


def _stage(change: StoreWrite, folder: Path, table: AnnData, update: SlotUpdate) -> Path:
    """Write the new content beside the store, laid out as in a table."""
    import zarr
    from anndata.io import write_elem

    existing = zarr.open_group(folder, mode="r", use_consolidated=False)
    group = zarr.open_group(change.new, mode="w", zarr_format=existing.metadata.zarr_format)
    for slot in ("layers", "obsm", "obsp", "uns"):
        place = group.require_group(slot)
        for key, value in getattr(update, slot).items():
            write_elem(place, key, value)
    for slot in FRAMES:
        if getattr(update, slot):
            write_elem(group, slot, getattr(table, slot)[list(getattr(update, slot))])
    return change.new


def _exchange(change: StoreWrite, target: Path, staged: Path, keys: Iterable[str], removed: Iterable[str]) -> None:
    for key in keys:
        target.mkdir(exist_ok=True)
        change.replace(staged / key, target / key)
    for key in removed:
        change.remove(target / key)


def _exchange_columns(change: StoreWrite, target: Path, staged: Path, table: AnnData, update: SlotUpdate) -> None:
    """Exchange columns while the list of columns never names one that is not there."""
    import zarr

    frame = target.name
    keys, removed = list(getattr(update, frame)), list(update.remove.get(frame, ()))
    if not keys and not removed:
        return
    for name in ("zarr.json", ".zattrs"):
        change.keep(target / name)
    group = zarr.open_group(target, mode="r+", use_consolidated=False)
    order = [str(column) for column in group.attrs[_COLUMN_ORDER]]
    gone = {*keys, *removed}
    if gone & set(order):
        group.attrs[_COLUMN_ORDER] = [column for column in order if column not in gone]
    _exchange(change, target, staged, keys, removed)
    kept = [column for column in order if column not in removed]
    group.attrs[_COLUMN_ORDER] = kept + [key for key in keys if key not in kept]


def write_table(
    sdata: SpatialData,
    name: str,
    table: AnnData,
    *,
    source: str,
    overwrite: bool = False,
    write: bool = False,
) -> None:
    """Add a table of its own that annotates the same regions as another one.

    Parameters
    ----------
    sdata
        Object to add to.
    name
        Name of the new table.
    table
        Its ``obs_names`` must be among those of the source table, or ``obs`` must hold region and instance already.
    source
        Name of the table whose regions it annotates. Noted in ``uns["phg2st_table"]``, by which the table is left out
        when the table of the spots is looked for.
    overwrite
        Replace a table of this name, if it is such a table too.
    write
        Also save it in the zarr store; if that fails the store keeps its old content, and so does ``sdata``.

    Raises
    ------
    KeyError
        If there is no table ``source``.
    ValueError
        If the name is taken, rows cannot be matched, or there is no store.
    """
    if source not in sdata.tables:
        msg = f"No table {source!r}; there are {quoted(sdata.tables)}."
        raise KeyError(msg)
    check_table(table)
    store = _store(sdata) if write else None
    old = sdata.tables.get(name)
    _check_free(sdata, name, old, overwrite=overwrite)
    parsed = _annotating(table, sdata.tables[source], source)
    done = False
    try:
        if old is not None:
            del sdata.tables[name]
        sdata.tables[name] = parsed
        if store is not None:
            _persist_table(sdata, store, name)
        done = True
    finally:
        if not done:
            sdata.tables.pop(name, None)
            if old is not None:
                sdata.tables[name] = old


def _check_free(sdata: SpatialData, name: str, old: AnnData | None, *, overwrite: bool) -> None:
    if old is None:
        return
    if not overwrite:
        msg = f"There is a table {name!r} already: choose another name, or pass `overwrite=True`."
        raise ValueError(msg)
    if _keys.DERIVED_TABLE not in old.uns:
        msg = f"Table {name!r} was not written by this package and is not replaced: choose another name."
        raise ValueError(msg)


def _annotating(table: AnnData, source: AnnData, name: str) -> AnnData:
    """Copy of a table that carries region and instance of the source's rows."""
    from spatialdata.models import TableModel

    attrs = source.uns[_keys.SPATIALDATA_ATTRS]
    keys = [attrs["region_key"], attrs["instance_key"]]
    table = table.copy()
    if not set(keys) <= set(table.obs.columns):
        if not table.obs_names.isin(source.obs_names).all():
            unknown = table.obs_names[~table.obs_names.isin(source.obs_names)]
            msg = f"{len(unknown)} rows of the new table are not in table {name!r}: {quoted(unknown)}."
            raise ValueError(msg)
        table.obs[keys] = source.obs.loc[table.obs_names, keys]
    table.uns.pop(_keys.SPATIALDATA_ATTRS, None)
    table.uns[_keys.DERIVED_TABLE] = name
    regions = [str(region) for region in table.obs[keys[0]].unique()]
    table.obs[keys[0]] = table.obs[keys[0]].astype(str).astype("category")
    return TableModel.parse(table, region=regions, region_key=keys[0], instance_key=keys[1])


@without_format_news()
def _persist_table(sdata: SpatialData, store: Path, name: str) -> None:
    with StoreWrite(store) as change:
        for file in _ROOT_FILES:
            change.keep(change.store / file)
        change.remove(change.store / "tables" / name)
        # without the folder the store must not claim that it has the table
        sdata.write_consolidated_metadata()
        sdata.write_element(name)
        sdata.write_consolidated_metadata()
