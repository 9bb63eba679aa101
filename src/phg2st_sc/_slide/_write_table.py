"""Write a result as a table of its own, beside that of the spots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import _keys
from .._text import quoted
from ._behind import table_folder
from ._disk import StoreWrite, without_format_news
from ._record import check_table
from ._scattered import ScatteredRows
from ._stored_rows import StoredRows

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_FORMAT = ("spatialdata-encoding-type", "version")
"""Attributes of a table on disk that are the same for all tables of a store."""
_ELEMENTS = ("images", "labels", "points", "shapes")


def write_table(
    sdata: SpatialData,
    name: str,
    table: AnnData,
    *,
    source: str,
    rows: ScatteredRows | None = None,
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
    rows
        Its ``X``, where that is too large for memory: written block by block, and read from the store when it is used. Only
        with ``write=True``.
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
    folder = table_folder(sdata, sdata.tables[source]) if write else None
    old = sdata.tables.get(name)
    _check_free(sdata, name, old, overwrite=overwrite)
    parsed = _annotating(table, sdata.tables[source], source)
    stored = None
    if rows is not None and folder is not None:
        stored = StoredRows.of(rows, folder.parent.parent, f"tables/{name}/X")
    done = False
    try:
        if old is not None:
            del sdata.tables[name]
        sdata.tables[name] = parsed
        if folder is not None:
            _persist_table(folder, name, parsed, rows, stored)
        if stored is not None:
            sdata.tables[name].X = stored.lazy()
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
def _persist_table(
    source: Path, name: str, table: AnnData, rows: ScatteredRows | None, stored: StoredRows | None
) -> None:
    import zarr

    attrs = table.uns[_keys.SPATIALDATA_ATTRS]
    beside = zarr.open_group(source, mode="r", use_consolidated=False).attrs
    attributes = {key: beside[key] for key in _FORMAT if key in beside} | {
        "region": attrs["region"],
        "region_key": attrs["region_key"],
        "instance_key": attrs["instance_key"],
    }
    with StoreWrite(source.parent.parent, source.name) as change:
        _check_free_on_disk(change.store, name)
        change.put("tables", (name,), table, attributes)
        if rows is not None and stored is not None:
            change.put_rows("tables", (name, "X"), rows, stored.mark)


def _check_free_on_disk(store: Path, name: str) -> None:
    """Another process may have added elements."""
    for kind in _ELEMENTS:
        if (store / kind / name).exists():
            msg = f"There is {name!r} among the {kind} in the store {store} already: choose another name."
            raise ValueError(msg)
    folder = store / "tables" / name
    if folder.exists() and not (folder / "uns" / _keys.DERIVED_TABLE).exists():
        msg = f"Table {name!r} in the store {store} was not written by this package and is not replaced: choose another name."
        raise ValueError(msg)
