"""Numbers of spots as plain arrays, whatever an object keeps them in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._text import quoted

if TYPE_CHECKING:
    from anndata import AnnData

_Rows: TypeAlias = NDArray[np.int64] | None
_KINDS = "biuf"
_WORDS = {2: "one row of numbers", 3: "one block of rows of numbers"}


def spot_numbers(table: AnnData, key: str, rows: NDArray[np.int64] | None = None, *, ndim: int = 2) -> NDArray[Any]:
    """Values of ``obsm[key]`` at some rows, in their order; see :func:`numbers`."""
    return numbers(table.obsm[key], f"obsm[{key!r}]", rows, names=table.obs_names, ndim=ndim)


def numbers(
    values: Any,
    what: str,
    rows: NDArray[np.int64] | None = None,
    *,
    names: pd.Index | None = None,
    ndim: int = 2,
) -> NDArray[Any]:
    """Dense array of numbers from whatever holds one row for each spot.

    Parameters
    ----------
    values
        Array, DataFrame, sparse matrix or array, structured, masked, lazy (dask, xarray, h5py, zarr): anything that AnnData
        keeps. Gaps and masked values become NaN. Rows of a DataFrame are found by their names.
    what
        Where the values are, for messages.
    rows
        Which rows to read; ``None`` for all.
    names
        Names of all rows, by which a labelled one is aligned.
    ndim
        Number of dimensions that are expected.

    Returns
    -------
    Array of booleans, integers or floats.

    Raises
    ------
    TypeError
        If there is anything but real numbers.
    ValueError
        If the shape or the index does not fit.
    """
    if hasattr(values, "to_memory"):  # sparse on disk, and the frames of a lazy AnnData
        values = values.to_memory()
    read = _frame_rows if isinstance(values, pd.DataFrame) else _rows
    found = read(values, what, rows, names)
    if found.ndim != ndim or 0 in found.shape[1:]:
        shape = (int(values.shape[0]), *found.shape[1:])
        msg = f"{what} has shape {shape}, where {_WORDS[ndim]} for each spot is expected."
        raise ValueError(msg)
    return found


def spot_pairs(table: AnnData, key: str, rows: NDArray[np.int64] | None = None) -> sparse.csr_matrix:
    """Values of ``obsp[key]`` between some rows, sparse whatever they are kept in.

    Raises
    ------
    TypeError
        If there is anything but real numbers.
    ValueError
        If a number is not finite.
    """
    matrix, what = table.obsp[key], f"obsp[{key!r}]"
    for read in ("compute", "to_memory"):
        matrix = getattr(matrix, read)() if hasattr(matrix, read) else matrix
    rows = np.arange(table.n_obs, dtype=np.int64) if rows is None else rows
    if sparse.issparse(matrix):
        pairs = sparse.csr_matrix(matrix)[rows][:, rows]
    else:
        pairs = sparse.csr_matrix(numbers(matrix, what, rows)[:, rows])
    if pairs.dtype.kind not in _KINDS or not np.isfinite(pairs.data).all():
        raise ValueError(f"{what} must hold finite real numbers: build it anew, or correct it.")
    return pairs


def n_columns(values: Any) -> int:
    """Number of columns of what holds one row for each spot, without reading it; fields of a structured array."""
    fields = getattr(getattr(values, "dtype", None), "names", None)
    return len(fields) if fields is not None else int(values.shape[1])


def _frame_rows(frame: pd.DataFrame, what: str, rows: _Rows, names: pd.Index | None) -> NDArray[Any]:
    picked = frame if names is None else frame.iloc[_aligned(frame.index, names, what)]
    picked = (picked if rows is None else picked.iloc[rows]).infer_objects()
    odd = [str(name) for name, dtype in zip(picked.columns, picked.dtypes, strict=True) if not _is_number(dtype)]
    if odd:
        msg = (
            f"{what} is a DataFrame with columns that hold no real numbers ({quoted(odd)}): keep those that do, e.g. "
            f"`data.{what} = data.{what}.select_dtypes('number')`."
        )
        raise TypeError(msg)
    return picked.to_numpy(dtype=np.float64, na_value=np.nan)


def _is_number(dtype: Any) -> bool:
    real = pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype)
    return bool(real or pd.api.types.is_bool_dtype(dtype))


def _aligned(index: pd.Index, names: pd.Index, what: str) -> NDArray[np.int64]:
    """Where the row of each spot is: found by its name, unless rows are merely numbered."""
    if index.equals(names) or index.equals(pd.RangeIndex(len(names))):
        return np.arange(len(names), dtype=np.int64)
    missing = names.difference(index)
    if len(missing) or not index.is_unique:
        trouble = f"lacks {len(missing)} spots ({quoted(missing)})" if len(missing) else "names spots more than once"
        msg = f"The index of {what} {trouble}: align it first, e.g. `frame.loc[data.obs_names]`."
        raise ValueError(msg)
    return np.asarray(index.get_indexer(names), dtype=np.int64)


def _rows(values: Any, what: str, rows: _Rows, names: pd.Index | None) -> NDArray[Any]:
    """Rows of anything but a DataFrame."""
    labels = getattr(values, "indexes", {}).get(getattr(values, "dims", [None])[0])
    if names is not None and labels is not None:
        order = _aligned(labels, names, what)
        rows = order if rows is None else order[rows]
    try:
        return _plain(_picked(values, rows))
    except (TypeError, ValueError) as error:
        msg = f"{what} ({type(values).__name__}) must hold real numbers, and does not: {str(error).rstrip('.')}."
        raise TypeError(msg) from error


def _picked(values: Any, rows: _Rows) -> NDArray[Any]:
    if hasattr(values, "compute"):
        values, rows = _computed(values, rows)
    if sparse.issparse(values):
        values = (values if rows is None else values[rows]).toarray()
    else:
        values = values if isinstance(values, np.ma.MaskedArray) else np.asarray(values)
        values = values if rows is None else values[rows]
    return values


def _computed(values: Any, rows: _Rows) -> tuple[Any, _Rows]:
    """Rows of a lazy array, in their order in it, so that a chunk is read once; and which of them are asked for."""
    if rows is None:
        return values.compute(), None
    unique, back = np.unique(rows, return_inverse=True)
    return values[unique].compute(), back


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """An array of real numbers from masked, structured, object and text arrays."""
    if values.dtype.names is not None:
        values = _unstructured(values)
    if isinstance(values, np.ma.MaskedArray) and values.dtype.kind in _KINDS:
        values = np.ma.filled(values.astype(np.float64), np.nan)
    elif values.dtype.kind in "OU":
        values = values.astype(np.float64)
    if values.dtype.kind not in _KINDS:
        raise TypeError(f"they are of dtype {values.dtype}")
    return values


def _unstructured(values: NDArray[Any]) -> NDArray[Any]:
    """Fields of a structured array, one column each."""
    from numpy.lib.recfunctions import structured_to_unstructured

    # AnnData stores (n,) as (n, 1)
    return np.asarray(structured_to_unstructured(values.reshape(len(values))))
