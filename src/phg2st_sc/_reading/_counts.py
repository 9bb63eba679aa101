"""Raw counts of chosen rows: read those rows, check those rows, and touch no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._text import quoted
from .._warn import warn_user

if TYPE_CHECKING:
    from anndata import AnnData

Matrix: TypeAlias = Any
"""Dense array, CSR matrix or CSR array (rows, genes)."""

_BLOCK = 1 << 22
"""Values checked at a time, so that checking a large table does not double its memory."""


def read_counts(
    table: AnnData,
    rows: NDArray[np.int64],
    *,
    counts_layer: str | None = None,
    genes: Sequence[str] | None = None,
    dense: bool = False,
) -> tuple[Matrix, NDArray[np.float64]]:
    """Read and check the raw counts of the given rows, and of no other row.

    Parameters
    ----------
    table
        Table with the counts; in memory, backed, or dask; dense, CSR or CSC.
    rows
        Rows to read, in the order in which they are returned.
    counts_layer
        Layer that holds raw counts; ``None`` for ``X``.
    genes
        Genes to return, in this order; ``None`` for every gene of the table.
    dense
        Return a dense array whatever the table stores.

    Returns
    -------
    counts
        (len(rows), G) float32 counts over ``genes``; CSR where the table is sparse, unless ``dense``.
    totals
        (len(rows),) float64 totals over *all* genes of the table. A row may sum to zero: see :func:`drop_empty_prompts`.

    Raises
    ------
    KeyError
        The layer, or some of the genes, do not exist.
    TypeError
        The matrix is not numeric.
    ValueError
        No matrix, duplicate genes, or a value in the given rows that is negative, NaN, infinite or not an integer.
    """
    columns = gene_columns(table, genes)
    rows = np.asarray(rows, dtype=np.int64)
    matrix = read_rows(table, rows, counts_layer=counts_layer)
    check_counts(matrix, table, rows, counts_layer=counts_layer)
    totals = row_totals(matrix)
    counts = (matrix if columns is None else matrix[:, columns]).astype(np.float32)
    if dense and sparse.issparse(counts):
        counts = counts.toarray()
    return counts, totals


def drop_empty_prompts(
    index: NDArray[np.int64],
    counts: Any,
    totals: NDArray[np.float64],
    *,
    names: Sequence[str] | pd.Index | None = None,
) -> tuple[NDArray[np.int64], Any, NDArray[np.float64]]:
    """Drop prompts without a single count, with a warning that names a few of them.

    Parameters
    ----------
    index
        (p,) which spots the prompts are.
    counts
        (p, G) their counts, dense or CSR.
    totals
        (p,) their totals over all genes.
    names
        (p,) obs names of the prompts, for the message.

    Returns
    -------
    The three of them without the empty prompts.

    Raises
    ------
    ValueError
        There is a prompt, but none with a count.
    """
    keep = totals > 0
    if keep.all():
        return index, counts, totals
    labels = pd.Index(index if names is None else names)
    if not keep.any():
        msg = (
            f"None of the {keep.size} prompts has a single count: check `counts_layer=`, and whether True in the prompt "
            "mask means measured."
        )
        raise ValueError(msg)
    warn_user(
        f"{int((~keep).sum())} of {keep.size} prompts have no counts at all and are not used: {quoted(labels[~keep])}."
    )
    return index[keep], counts[keep], totals[keep]


def gene_columns(table: AnnData, genes: Sequence[str] | None) -> NDArray[np.int64] | None:
    """Return the columns of the given genes in order; ``None`` where all columns in their order are asked for."""
    names = table.var_names
    if not names.is_unique:
        msg = (
            f"var_names holds genes more than once ({quoted(names[names.duplicated()])}): "
            "make them unique, e.g. `data.var_names_make_unique()`."
        )
        raise ValueError(msg)
    if genes is None:
        return None
    wanted = pd.Index(list(genes))
    if not wanted.is_unique:
        raise ValueError(f"Genes are asked for more than once: {quoted(wanted[wanted.duplicated()])}.")
    columns = names.get_indexer(wanted)
    missing = wanted[columns < 0]
    if len(missing):
        msg = (
            f"{len(missing)} of {len(wanted)} genes are not in var_names: {quoted(missing)}. var_names looks like "
            f"{quoted(names)}: are both symbols, or both ids? Choose common genes with `phg2st_sc.pp.select_genes`."
        )
        raise KeyError(msg)
    return columns.astype(np.int64)


def read_rows(table: AnnData, rows: NDArray[np.int64], *, counts_layer: str | None = None) -> Matrix:
    """Return a copy of the given rows of ``X`` or of a layer, dense or CSR, without checking their values."""
    source = _source(table, counts_layer)
    if isinstance(source, np.ndarray) or sparse.issparse(source):
        picked = source[rows]
    else:  # h5py, zarr and backed sparse matrices want rows once and in order
        unique, back = np.unique(rows, return_inverse=True)
        picked = _read_lazy(source, unique)[back]
    picked = picked.tocsr() if sparse.issparse(picked) else np.asarray(picked)
    return _as_numeric(picked, _where(counts_layer))


def row_totals(matrix: Matrix) -> NDArray[np.float64]:
    """Sum each row in double precision."""
    if sparse.issparse(matrix):
        # sums of sparse matrices are taken in their own precision, products in the better of the two
        return np.asarray(matrix @ np.ones(matrix.shape[1]), dtype=np.float64)
    return matrix.sum(axis=1, dtype=np.float64)


def check_counts(matrix: Matrix, table: AnnData, rows: NDArray[np.int64], *, counts_layer: str | None = None) -> None:
    """Raise at the first value of ``matrix`` (the given rows of the table) that is no count."""
    found = _first_bad(matrix)
    if found is None:
        return
    row, column, value = found
    place = f"spot {table.obs_names[rows[row]]!r}, gene {table.var_names[column]!r}"
    msg = (
        f"{_where(counts_layer)} holds {_trouble(value)} ({place}) where raw counts are needed. {_advice(table, value)}"
    )
    raise ValueError(msg)


def _source(table: AnnData, counts_layer: str | None) -> Any:
    if counts_layer is None:
        if table.X is None:
            msg = f"The table has no X. Name the layer with raw counts: `counts_layer=`, one of {_layers(table)}."
            raise ValueError(msg)
        return table.X
    if counts_layer not in _layers(table):
        msg = f"There is no layer {counts_layer!r}. Layers: {_layers(table)}; `counts_layer=None` reads X."
        raise KeyError(msg)
    return table.layers[counts_layer]


def _layers(table: AnnData) -> list[str]:
    # newer anndata lists X among the layers, as None
    return [key for key in table.layers if key is not None]


def _read_lazy(source: Any, rows: NDArray[np.int64]) -> Any:
    if hasattr(source, "compute"):
        return source[rows].compute()
    if hasattr(source, "oindex"):
        return source.oindex[rows]
    return source[rows]


def _as_numeric(matrix: Matrix, where: str) -> Matrix:
    if matrix.dtype.kind in "biuf":
        return matrix
    if matrix.dtype.kind == "O" and not sparse.issparse(matrix):
        try:
            return matrix.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{where} holds values that are no numbers where raw counts are needed.") from error
    raise TypeError(f"{where} is of dtype {matrix.dtype} where raw counts are needed.")


def _first_bad(matrix: Matrix) -> tuple[int, int, float] | None:
    if matrix.dtype.kind in "bu":
        return None
    step = max(1, _BLOCK // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        block = matrix[start : start + step]
        if sparse.issparse(block) and not _is_bad(block.data).any():
            continue
        dense = block.toarray() if sparse.issparse(block) else block
        bad = _is_bad(dense)
        if bad.any():
            row, column = np.unravel_index(int(np.argmax(bad)), bad.shape)
            return start + int(row), int(column), float(dense[row, column])
    return None


def _is_bad(values: NDArray[Any]) -> NDArray[np.bool_]:
    if values.dtype.kind in "iub":
        return values < 0
    # NaN fails both comparisons; infinity equals its own floor
    return ~((values >= 0) & (values == np.floor(values)) & np.isfinite(values))


def _trouble(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    if np.isinf(value):
        return f"the infinite value {value}"
    return f"the negative value {value:g}" if value < 0 else f"the value {value:g}, not an integer"


def _advice(table: AnnData, value: float) -> str:
    if not np.isfinite(value):
        return "Leave spots that were not measured out of the prompt mask, or give 0 where nothing was counted."
    others = _layers(table)
    known = f"Layers here: {others}." if others else "The table has no layers: put the raw counts in X or in a layer."
    return f"The values look normalised or scaled: name the layer with raw counts by `counts_layer=`. {known}"


def _where(counts_layer: str | None) -> str:
    return "X" if counts_layer is None else f"Layer {counts_layer!r}"
