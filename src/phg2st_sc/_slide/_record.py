"""What a table says about its slides: names, Visium-style records, patients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from .._warn import warn_user
from ._targets import is_target

if TYPE_CHECKING:
    from anndata import AnnData

DEFAULT_NAME = "slide"


def check_table(table: AnnData) -> None:
    """Refuse lazy objects, half-written tables, views and names that occur twice: results are matched by name and written in place."""
    if not isinstance(table.obs, pd.DataFrame):
        msg = (
            "The AnnData is lazy (`anndata.experimental.read_lazy`): its obs is not in memory. Pass `adata.to_memory()`, or open "
            "the file by `anndata.read_h5ad(path, backed='r')`, of which only the rows that are needed are read."
        )
        raise TypeError(msg)
    check_finished(table)
    if table.is_view:
        msg = "The AnnData is a view of another one, which results cannot be written to. Pass a copy: `adata.copy()`."
        raise ValueError(msg)
    for what, names, mend in (
        ("obs_names (spot ids)", table.obs_names, "adata.obs_names_make_unique()"),
        ("var_names (genes)", table.var_names, "adata.var_names_make_unique()"),
    ):
        if not names.is_unique:
            twice = names[names.duplicated()].unique()
            msg = f"{len(twice)} {what} occur more than once: {quoted(twice)}. Make them unique with `{mend}`."
            raise ValueError(msg)


def check_finished(table: AnnData) -> None:
    """Refuse a table that was read while a write to its store was under way, or after one was cut off.

    Raises
    ------
    ValueError
        If it bears the mark of such a write.
    """
    mark = table.uns.get(_keys.UNFINISHED)
    if mark is None:
        return
    slots = mark.get("slots", ()) if isinstance(mark, Mapping) else ()
    msg = (
        f"Writing {', '.join(str(slot) for slot in slots) or 'results'} into the store was cut off, or was under way when the "
        "table was read, so that what is here is neither old nor new. Call `phg2st_sc.io.recover(path)` with the path of "
        "the store, and read the object again."
    )
    raise ValueError(msg)


def records(table: AnnData) -> Mapping[str, Mapping[str, Any]]:
    """``uns["spatial"]``, without what is no record."""
    found = table.uns.get(_keys.SPATIAL)
    if not isinstance(found, Mapping):
        return {}
    return {str(key): value for key, value in found.items() if isinstance(value, Mapping)}


def split_rows(
    table: AnnData, slide_key: str | None, rows: NDArray[np.int64] | None = None
) -> dict[str | None, NDArray[np.int64]]:
    """Rows of each slide; the name is ``None`` where nothing names the only slide."""
    rows = np.arange(table.n_obs, dtype=np.int64) if rows is None else rows
    key = slide_key if slide_key is not None else _split_column(table, rows)
    if key is None:
        return {None: rows}
    if key not in table.obs:
        msg = f"`slide_key={key!r}` is no column of obs; there are: {quoted(table.obs.columns) or 'none'}."
        raise KeyError(msg)
    values = table.obs[key].iloc[rows]
    if values.isna().any():
        msg = f"obs[{key!r}] is missing for {int(values.isna().sum())} spots: every spot must belong to a slide."
        raise ValueError(msg)
    names = _whole(values).astype(str).to_numpy(dtype=object)
    return {str(name): rows[names == name] for name in pd.unique(names)}


def _split_column(table: AnnData, rows: NDArray[np.int64]) -> str | None:
    """Column that tells slides apart beyond doubt, because its values name records.

    One record is enough: those of the others were lost, and they have no part in it.
    """
    known = records(table)
    for key in (_keys.LIBRARY, _keys.SECTION):
        values = _values(table, key, rows)
        if len(values) > 1 and set(values) & set(known):
            return key
    for key in (_keys.LIBRARY, _keys.SECTION):
        values = _values(table, key, rows)
        if len(values) > 1:
            msg = (
                f"obs[{key!r}] has {len(values)} values ({quoted(values)}) but the spots are taken as one slide. If they "
                f"are several, pass `slide_key={key!r}`."
            )
            warn_user(msg)
            break
    return None


def _values(table: AnnData, key: str, rows: NDArray[np.int64]) -> list[str]:
    if key not in table.obs:
        return []
    return [str(value) for value in _whole(table.obs[key].iloc[rows].dropna()).unique()]


def _whole(values: pd.Series) -> pd.Series:
    """Values without gaps; whole numbers without the decimal point that gaps once gave them: slide 1.0 is slide 1."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if pd.api.types.is_float_dtype(values.dtype) and (values % 1 == 0).all():
        values = values.astype(np.int64)
    return values


def find_record(table: AnnData, rows: NDArray[np.int64], name: str | None) -> tuple[str | None, Mapping[str, Any]]:
    """(library, record) of one slide: by its name, by a column that holds one record's name, or the only one."""
    known = records(table)
    if name in known:
        return name, known[str(name)]
    for key in (_keys.LIBRARY, _keys.SECTION, *_text_columns(table)):
        values = _values(table, key, rows)
        if len(values) == 1 and values[0] in known:
            return values[0], known[values[0]]
    if len(known) == 1 and (name is None or len(rows) == table.n_obs):
        return next(iter(known.items()))
    return None, {}


def _text_columns(table: AnnData) -> list[str]:
    kinds = (
        isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(dtype) for dtype in table.obs.dtypes
    )
    return [str(column) for column, is_text in zip(table.obs.columns, kinds, strict=True) if is_text]


def slide_name(table: AnnData, rows: NDArray[np.int64], library: str | None) -> str:
    """Name of a slide that no key names."""
    if library is not None:
        return library
    for key in (_keys.LIBRARY, _keys.SECTION):
        values = _values(table, key, rows)
        if len(values) == 1:
            return values[0]
    return DEFAULT_NAME


def find_patient(table: AnnData, rows: NDArray[np.int64], record: Mapping[str, Any], key: str) -> str | None:
    """Patient of one slide: the one value in ``obs``, else what the record or ``uns`` says."""
    values = _values(table, key, rows)
    if values:
        return values[0] if len(values) == 1 else None
    for place in (record.get(_keys.METADATA) or {}, table.uns):
        value = place.get(key)
        if isinstance(value, (str, int, np.integer)):
            return str(value)
    return None


def spot_diameter(record: Mapping[str, Any]) -> float | None:
    """Spot diameter in full-resolution pixels."""
    value = (record.get(_keys.SCALEFACTORS) or {}).get(_keys.SPOT_DIAMETER)
    return None if value is None else float(value)


def measured_places(table: AnnData, rows: NDArray[np.int64], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places of the spots that were there, by which the lattice is known; all of them where there are only targets."""
    spots = ~is_target(table, rows)
    return positions[spots] if spots.any() else positions
