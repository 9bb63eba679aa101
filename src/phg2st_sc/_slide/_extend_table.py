"""Append rows for places without a spot to a table; the table itself stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from ._anndata import spot_centers
from ._embedded import embedding_records
from ._model import Slide
from ._numbers import numbers
from ._record import records
from ._targets import is_target

if TYPE_CHECKING:
    from anndata import AnnData

_GAPS = {"c": np.nan, "m": "NaT", "M": "NaT", "O": None, "U": "", "S": b"", "V": 0}
"""What stands for a gap among values that are neither counts nor real numbers."""
_BY_SLIDE = (_keys.PATIENT, _keys.LIBRARY, _keys.SECTION)


@dataclass(frozen=True, eq=False)
class Added:
    """New places of one slide, (k, 2), in the pixels of its positions."""

    slide: Slide
    places: NDArray[np.float64]


def back_to(slide: Slide, own: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map places in a slide's pixels to the units that its spots are stored in, by the spots themselves.

    Parameters
    ----------
    slide
        Its ``positions`` are in pixels.
    own
        (n, 2) the same spots as stored.
    places
        (k, 2) in the same pixels as ``slide.positions``.

    Raises
    ------
    ValueError
        If the spots lie on one line, so that the map is not known.
    """
    middle = slide.positions.mean(axis=0)
    design = np.column_stack([slide.positions - middle, np.ones(slide.n_spots)])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        msg = f"The {slide.n_spots} spots of slide {slide.name!r} lie on one line: a lattice needs spots beside each other."
        raise ValueError(msg)
    fitted = np.linalg.lstsq(design, own, rcond=None)[0]
    return np.column_stack([places - middle, np.ones(len(places))]) @ fitted


def extend_table(
    table: AnnData, added: list[Added], *, slide_key: str | None, obs: Mapping[str, Any], record: Mapping[str, Any]
) -> AnnData:
    """Return a new table: the rows of ``table`` as they are, then the new places.

    Parameters
    ----------
    table
        Stays as it is.
    added
        New places, in the order of the new rows.
    slide_key
        Column of ``obs`` that tells slides apart.
    obs
        Values of columns at the new rows, such as those by which a SpatialData finds its spots.
    record
        What to keep of the call, in ``uns``.
    """
    from anndata import AnnData

    table = table.to_memory() if table.isbacked else table
    n_new = sum(len(one.places) for one in added)
    names = _names(table, added)
    layers = {key: _longer(value, n_new) for key, value in table.layers.items() if key is not None}
    gone = {key for key in table.obsm if _is_image_side(table, key)}
    kept = [key for key in table.obsm if key not in gone and key != _keys.SPATIAL]
    obsm = {key: _longer(table.obsm[key], n_new, names, gaps=True) for key in kept}
    if _keys.SPATIAL in table.obsm:
        obsm[_keys.SPATIAL] = _centers(table, added)
    return AnnData(
        None if table.X is None else _longer(table.X, n_new, counts=True),
        obs=_obs(table, added, names, slide_key, obs),
        var=table.var.copy(),
        uns=_uns(table, record),
        obsm=obsm,
        varm={key: deepcopy(value) for key, value in table.varm.items()},
        varp={key: value.copy() for key, value in table.varp.items()},
        layers=layers,
    )


def _names(table: AnnData, added: list[Added]) -> pd.Index:
    start = int(is_target(table).sum())
    prefixes = [one.slide.name for one in added for _ in one.places]
    while True:
        names = pd.Index([f"{prefix}-target{start + i}" for i, prefix in enumerate(prefixes)])
        taken = int(names.isin(table.obs_names).sum())
        if not taken:
            return names
        start += taken


def _longer(values: Any, n_new: int, names: pd.Index | None = None, *, counts: bool = False, gaps: bool = False) -> Any:
    """Append empty rows: zeros to counts and to what is sparse, gaps to what was derived from counts."""
    if isinstance(values, pd.DataFrame):
        return values.reindex(values.index.append(pd.Index([]) if names is None else names))
    values = values.compute() if hasattr(values, "compute") else values
    shape = (n_new, *values.shape[1:])
    if sparse.issparse(values):
        stacked = sparse.vstack([values, sparse.csr_matrix(shape, dtype=values.dtype)], format=values.format)
        return type(values)(stacked)
    if isinstance(values, np.ma.MaskedArray):
        return np.ma.concatenate([values, np.ma.masked_all(shape, dtype=values.dtype)])
    values = np.asarray(values)
    if values.dtype.kind == "O" and not gaps:
        values = numbers(values, "A layer")
    if values.dtype.kind in _GAPS:
        return np.concatenate([values, np.full(shape, _GAPS[values.dtype.kind], dtype=values.dtype)])
    if counts or (not gaps and _are_counts(values)):
        return np.concatenate([values, np.zeros(shape, dtype=values.dtype)])
    kind = values.dtype if values.dtype.kind == "f" else np.float64
    return np.concatenate([values.astype(kind), np.full(shape, np.nan, dtype=kind)])


def _are_counts(values: NDArray[Any]) -> bool:
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return bool((known >= 0).all() and (known == np.round(known)).all())


def _is_image_side(table: AnnData, key: str) -> bool:
    """Whether an ``obsm`` entry is an embedding or its context, which are to be computed anew."""
    reps = embedding_records(table)
    return any(key in (rep, _keys.context(rep), _keys.context_index(rep)) for rep in reps)


def _centers(table: AnnData, added: list[Added]) -> NDArray[Any]:
    old = spot_centers(table)
    new = [back_to(one.slide, old[one.slide.rows], one.places) for one in added]
    kind = getattr(table.obsm[_keys.SPATIAL], "dtype", old.dtype)
    kind = kind if kind.kind in "iuf" else old.dtype
    centers = np.concatenate(new)
    return np.concatenate([old, np.rint(centers) if kind.kind in "iu" else centers]).astype(kind)


def _obs(
    table: AnnData, added: list[Added], names: pd.Index, slide_key: str | None, given: Mapping[str, Any]
) -> pd.DataFrame:
    known = records(table)
    columns: dict[str, Any] = {}
    for key in table.obs.columns:
        old = table.obs[key]
        if key in given:
            new = pd.Series(given[key], index=names)
        elif pd.api.types.is_bool_dtype(old.dtype):
            new = pd.Series(data=False, index=names, dtype=old.dtype)
        else:
            filled = [value for one in added for value in [_of_slide(old, one, known, slide_key)] * len(one.places)]
            new = pd.Series(filled, index=names, dtype=object)
        columns[key] = _joined(old, new)
    columns[_keys.TARGET] = np.concatenate([is_target(table), np.ones(len(names), dtype=bool)])
    return pd.DataFrame(columns, index=table.obs_names.append(names))


def _of_slide(old: pd.Series, one: Added, known: Mapping[str, Any], slide_key: str | None) -> Any:
    """Value that a whole slide shares, where it says which slide it is; else a gap."""
    values = old.iloc[one.slide.rows].dropna().unique()
    says = old.name in (*_BY_SLIDE, slide_key) or (len(values) == 1 and str(values[0]) in known)
    return values[0] if len(values) == 1 and says else None


def _joined(old: pd.Series, new: pd.Series) -> Any:
    if isinstance(old.dtype, pd.CategoricalDtype):
        values = np.concatenate([old.to_numpy(dtype=object), new.to_numpy(dtype=object)])
        return pd.Categorical(values, categories=old.cat.categories, ordered=old.cat.ordered)
    if not new.isna().any() or pd.api.types.is_extension_array_dtype(old.dtype):
        return pd.concat([old, new.astype(old.dtype)]).array
    if old.dtype.kind in "iuf":
        joined = pd.concat([old, new.astype(np.float64)]).to_numpy(dtype=np.float64)
        return joined.astype(old.to_numpy().dtype) if old.dtype.kind == "f" else joined
    return np.concatenate([old.to_numpy(dtype=object), new.to_numpy(dtype=object)])


def _uns(table: AnnData, record: Mapping[str, Any]) -> dict[str, Any]:
    """Records of what still stands: not those of embeddings and of graphs, whose rows are no longer the table's."""
    stale = {_keys.EMBEDDINGS, _keys.TILES}
    stale |= {k for k, v in table.uns.items() if isinstance(v, Mapping) and _keys.CONNECTIVITIES_KEY in v}
    return {
        **{key: deepcopy(value) for key, value in table.uns.items() if key not in stale},
        _keys.TARGET: dict(record),
    }
