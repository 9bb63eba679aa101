"""How spots are left out of an object, as a line of code that can be typed as it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse

if TYPE_CHECKING:
    from anndata import AnnData

_MOST_NAMED = 5


def leave_out(table: AnnData, key: str, names: pd.Index) -> str:
    """Line that leaves out the spots whose values in ``obsm[key]`` are not finite, whatever these are kept in.

    Parameters
    ----------
    table
        Table annotating the spots.
    key
        Key in ``obsm``.
    names
        Names of the spots to leave out.
    """
    if len(names) <= _MOST_NAMED and table.obs_names.is_unique:
        return f"data[~data.obs_names.isin({[str(name) for name in names]!r})].copy()"
    return f"data[numpy.isfinite({_dense(table.obsm[key], f'data.obsm[{key!r}]')}).all(axis=1)].copy()"


def _dense(values: Any, code: str) -> str:
    """Code that makes a plain array of numbers of what an object keeps; infinite where single precision is too narrow."""
    single = "dtype='float32'"
    if isinstance(values, pd.DataFrame):
        return f"{code}.to_numpy({single}, na_value=numpy.nan)"
    if hasattr(values, "to_memory"):
        return _dense(values.to_memory(), f"{code}.to_memory()")
    if hasattr(values, "_meta"):  # dask: an empty piece, of the type that the pieces have
        return _dense(values._meta, f"{code}.compute()")
    if sparse.issparse(values):
        return f"{code}.toarray().astype('float32')"
    if isinstance(values, np.ndarray) and not np.ma.isMaskedArray(values) and values.dtype.kind in "biuf":
        return code if values.dtype == np.float32 else f"{code}.astype('float32')"
    if isinstance(values, np.ndarray):  # structured, masked, objects, text
        return f"numpy.array({code}.tolist(), {single}).reshape(data.n_obs, -1)"
    return f"numpy.asarray({code}, {single})"
