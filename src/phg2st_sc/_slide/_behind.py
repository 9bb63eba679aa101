"""The store behind an object, and the folder of a table in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._disk import read_only
from ._open import is_spatialdata

if TYPE_CHECKING:
    from anndata import AnnData

_INDEX = "_index"


def store_behind(data: Any) -> Path:
    """Root folder of the store behind an object.

    Raises
    ------
    ValueError
        If there is none that can be written to: the message says why.
    """
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
        raise ValueError(_no_folder(path, str(data.path)))
    if not os.access(path, os.W_OK):
        raise ValueError(read_only(path, "no permission, or a read-only file system"))
    return path


def _no_folder(path: Path, said: str) -> str:
    if "://" in said or ":/" in said or path.exists():
        return f"`write=True` needs a store in a local folder; {said} is none. Leave `write` out and save elsewhere."
    seen = "" if path.is_absolute() else f" seen from {Path.cwd()}"
    return (
        f"`write=True`, but there is no store at {said}{seen} any more: it was moved, or the working directory was changed. "
        "Set `sdata.path` to where it is now, and call again."
    )


def table_folder(data: Any, table: AnnData) -> Path:
    """Folder of a table in the store, after making sure that it is the table in memory.

    Raises
    ------
    ValueError
        If it is not, or there is no such store.
    """
    import zarr
    from anndata.io import read_elem

    store = store_behind(data)
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
