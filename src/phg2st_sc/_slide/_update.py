"""What a call writes on a table: checked whole before anything changes, undone whole if anything fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._text import quoted
from ._owner import Owner, refuse_foreign
from ._scattered import ScatteredRows

if TYPE_CHECKING:
    from anndata import AnnData

SLOTS = ("layers", "obsm", "obsp", "obs", "var", "uns")
"""In the order of writing: ``uns`` last, as the mark that all is there."""
FRAMES = ("obs", "var")
_MISSING = object()


@dataclass
class SlotUpdate:
    """Values to set by slot and key, and keys to take away.

    Attributes
    ----------
    layers, obsm, obsp, obs, var, uns
        Values by key. ``obs`` and ``var`` take arrays, Categoricals or Series, which are aligned by index; ``layers`` take
        :class:`ScatteredRows` too, which go into a store and not into memory.
    remove
        Keys by slot that are taken away where they exist, e.g. ``{"obsm": ["X_old"]}``; of ``owner.parts`` those that an
        earlier call wrote.
    owner
        How to tell that what is there was written by an earlier call, and may be replaced. ``None`` replaces anything.
    """

    layers: dict[str, Any] = field(default_factory=dict)
    obsm: dict[str, Any] = field(default_factory=dict)
    obsp: dict[str, Any] = field(default_factory=dict)
    obs: dict[str, Any] = field(default_factory=dict)
    var: dict[str, Any] = field(default_factory=dict)
    uns: dict[str, Any] = field(default_factory=dict)
    remove: dict[str, list[str]] = field(default_factory=dict)
    owner: Owner | None = None

    def items(self) -> Iterator[tuple[str, str, Any]]:
        """(slot, key, value) of all that is set, ``uns`` last."""
        for slot in SLOTS:
            for key, value in getattr(self, slot).items():
                yield slot, key, value

    def removed(self, wrote: Callable[[Owner], bool]) -> Iterator[tuple[str, str]]:
        """(slot, key) of all that is taken away; ``wrote`` tells whose the keys are that only some calls write."""
        parts = () if self.owner is None else self.owner.parts
        kept = [key for keys, part in parts if not wrote(part) for key in keys]
        for slot in SLOTS:
            for key in self.remove.get(slot, ()):
                if (slot, key) not in kept:
                    yield slot, key


def checked(update: SlotUpdate, table: AnnData) -> SlotUpdate:
    """Return the update with columns aligned to the table; raise if any value cannot be stored.

    Raises
    ------
    TypeError
        If a key or value is of a kind that h5ad or zarr cannot hold.
    ValueError
        If a shape or index does not fit the table, or a slot exists and is the user's own.
    """
    unknown = set(update.remove) - set(SLOTS)
    if unknown:
        msg = f"Cannot remove from {quoted(sorted(unknown))}; the slots are {quoted(SLOTS)}."
        raise ValueError(msg)
    out = SlotUpdate(remove={slot: list(keys) for slot, keys in update.remove.items()}, owner=update.owner)
    for slot, key, value in update.items():
        _check_key(slot, key)
        getattr(out, slot)[key] = _CHECKS[slot](f"{slot}[{key!r}]", value, table)
    if update.owner is not None:
        touched = [(slot, key) for slot, key, _ in update.items()]
        refuse_foreign(table, [*touched, *update.removed(lambda owner: owner.wrote(table))], update.owner)
    return out


def _check_key(slot: str, key: Any) -> None:
    if not isinstance(key, str):
        msg = f"A key of {slot} must be a string, got {key!r} ({type(key).__name__})."
        raise TypeError(msg)
    if not key or "/" in key or (slot in FRAMES and key == "_index"):
        msg = f"{key!r} cannot be a key of {slot}: it must not be empty, hold '/', or be '_index'."
        raise ValueError(msg)


def _check_layer(where: str, value: Any, table: AnnData) -> Any:
    if isinstance(value, ScatteredRows) and value.shape == table.shape:
        return value
    return _check_array(where, value, (table.n_obs, table.n_vars))


def _check_obsp(where: str, value: Any, table: AnnData) -> Any:
    return _check_array(where, value, (table.n_obs, table.n_obs))


def _check_obsm(where: str, value: Any, table: AnnData) -> Any:
    if isinstance(value, pd.DataFrame):
        if not value.index.equals(table.obs_names):
            msg = f"{where}: the index of the DataFrame is not obs_names."
            raise ValueError(msg)
        return value
    return _check_array(where, value, (table.n_obs,))


def _check_array(where: str, value: Any, shape: tuple[int, ...]) -> Any:
    from scipy import sparse

    if sparse.issparse(value):
        if value.format not in ("csr", "csc"):
            msg = f"{where}: sparse values must be CSR or CSC, not {value.format.upper()}; use `.tocsr()`."
            raise TypeError(msg)
    elif not isinstance(value, np.ndarray):
        msg = f"{where}: expected a numpy array or a CSR / CSC matrix, got {type(value).__name__}."
        raise TypeError(msg)
    fits = value.shape == shape if len(shape) > 1 else value.ndim >= 2 and value.shape[0] == shape[0]
    if not fits:
        msg = f"{where}: shape {value.shape} does not fit the table, which asks for {shape}."
        raise ValueError(msg)
    _check_dtype(where, value.dtype)
    return value


def _check_dtype(where: str, dtype: Any) -> None:
    if not isinstance(dtype, np.dtype) or dtype.kind not in "biufUT":
        msg = f"{where}: values of type {dtype} cannot be stored; use numbers, booleans or strings."
        raise TypeError(msg)


def _check_obs(where: str, value: Any, table: AnnData) -> pd.Series:
    return _check_column(where, value, table.obs_names)


def _check_var(where: str, value: Any, table: AnnData) -> pd.Series:
    return _check_column(where, value, table.var_names)


def _check_column(where: str, value: Any, index: pd.Index) -> pd.Series:
    if isinstance(value, pd.Series):
        if not value.index.is_unique or len(value) != len(index) or not index.isin(value.index).all():
            msg = f"{where}: the index of the Series does not hold exactly the names of the table."
            raise ValueError(msg)
        series = value.reindex(index)
    elif len(np.shape(value)) != 1 or len(value) != len(index):
        msg = f"{where}: shape {np.shape(value)} does not fit the table, which asks for ({len(index)},)."
        raise ValueError(msg)
    else:
        series = pd.Series(value, index=index)
    if series.dtype == object:
        bad = [item for item in series if not isinstance(item, str)]
        if bad:
            msg = f"{where}: a column of strings holds {bad[0]!r} ({type(bad[0]).__name__})."
            raise TypeError(msg)
    elif isinstance(series.dtype, np.dtype):
        _check_dtype(where, series.dtype)
    return series


def _check_uns(where: str, value: Any, _table: AnnData) -> Any:
    check_uns(where, value)
    return value


def check_uns(where: str, value: Any) -> None:
    """Refuse what ``uns`` cannot hold on disk: tuples, sets, paths, keys that are no strings or hold a slash."""
    from scipy import sparse

    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_key(where, key)
            check_uns(f"{where}[{key!r}]", item)
    elif isinstance(value, (list, np.ndarray)):
        _check_sequence(where, value)
    elif not (
        value is None
        or isinstance(value, (str, bool, int, float, np.bool_, np.integer, np.floating, pd.DataFrame))
        or (sparse.issparse(value) and value.format in ("csr", "csc"))
    ):
        msg = f"{where}: {type(value).__name__} cannot be stored in uns; use a dict, list, array, string or number."
        raise TypeError(msg)


def _check_sequence(where: str, value: Any) -> None:
    try:
        array = np.asarray(value)
    except ValueError as error:
        msg = f"{where}: a ragged list cannot be stored in uns."
        raise TypeError(msg) from error
    mixed = isinstance(value, list) and len({isinstance(item, str) for item in value}) > 1
    if mixed or (array.dtype == object and not all(isinstance(item, str) for item in array.flat)):
        msg = f"{where}: a list or array in uns must hold only numbers or only strings."
        raise TypeError(msg)
    if array.dtype != object:
        _check_dtype(where, array.dtype)


_CHECKS: Mapping[str, Callable[[str, Any, Any], Any]] = {
    "layers": _check_layer,
    "obsm": _check_obsm,
    "obsp": _check_obsp,
    "obs": _check_obs,
    "var": _check_var,
    "uns": _check_uns,
}


@contextmanager
def applied(update: SlotUpdate, table: AnnData) -> Iterator[None]:
    """Set and remove the keys on the table; put everything back if that, or the body, fails."""
    removed = list(update.removed(lambda owner: owner.wrote(table)))
    touched = [(slot, key) for slot, key, _ in update.items()] + removed
    old = [(slot, key, _get(table, slot, key)) for slot, key in touched]
    columns = {slot: list(getattr(table, slot).columns) for slot in FRAMES}
    done = False
    try:
        for slot, key, value in update.items():
            _set(table, slot, key, value)
        for slot, key in removed:
            _delete(table, slot, key)
        yield
        done = True
    finally:
        if not done:
            _restore(table, old, columns)


def _restore(table: AnnData, old: list[tuple[str, str, Any]], columns: dict[str, list[str]]) -> None:
    for slot, key, value in reversed(old):
        if value is _MISSING:
            _delete(table, slot, key)
        else:
            _set(table, slot, key, value)
    for slot, order in columns.items():
        if list(getattr(table, slot).columns) != order:
            setattr(table, slot, getattr(table, slot)[order])


def _get(table: AnnData, slot: str, key: str) -> Any:
    place = getattr(table, slot)
    return place.get(key, _MISSING)


def _set(table: AnnData, slot: str, key: str, value: Any) -> None:
    getattr(table, slot)[key] = value


def _delete(table: AnnData, slot: str, key: str) -> None:
    place = getattr(table, slot)
    if key in place:
        del place[key]
