"""Raw counts of chosen rows: read those rows, check those rows, and touch no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._text import quoted
from .._warn import warn_of_each, warn_user
from ._gex import GexOnly, is_gene, refuse_no_genes
from ._source import Matrix, Source, named_layers, open_source, row_totals

if TYPE_CHECKING:
    from anndata import AnnData

_BLOCK = 1 << 22
"""Values checked at a time, so that checking a large table does not double its memory."""


@dataclass(frozen=True, eq=False)
class CountRows:
    """Checked counts of some rows of a table.

    Attributes
    ----------
    counts
        (rows, features of the table) counts as they are stored, dense or CSR; zero where a feature is no gene or was not
        measured.
    totals
        (rows,) float64 totals over all measured genes: of the table, or of ``.raw`` where counts are read from there.
    genes
        (features,) which features are genes.
    lacking
        (features,) which genes were not measured at any of these rows: they hold nothing but NaN.
    """

    counts: Matrix
    totals: NDArray[np.float64]
    genes: NDArray[np.bool_]
    lacking: NDArray[np.bool_]


def read_rows(
    table: AnnData, rows: NDArray[np.int64], *, counts_layer: str | None = None, gex_only: GexOnly = None
) -> CountRows:
    """Read and check the raw counts of the given rows, and of no other row.

    Parameters
    ----------
    table
        Table with the counts; in memory, backed, or dask; dense, CSR or CSC.
    rows
        Rows to read, in the order in which they are returned.
    counts_layer
        Layer that holds raw counts; ``None`` for ``X``, ``"raw"`` for ``.raw``.
    gex_only
        Which features are genes.

    Raises
    ------
    KeyError
        The layer does not exist.
    TypeError
        The matrix is not numeric.
    ValueError
        No matrix, duplicate genes, or a value in the given rows that is negative, NaN, infinite or not an integer. A gene
        that is NaN in all of them was not measured, and is no error.
    """
    gene_columns(table, None)
    rows = np.asarray(rows, dtype=np.int64)
    source = open_source(table, counts_layer)
    genes = is_gene(source.var, gex_only)
    matrix = source.rows(rows)
    clear_columns(matrix, ~genes)
    lacking = check_counts(matrix, source, table, rows)
    totals = row_totals(matrix)
    columns = source.columns(table)
    if columns is not None:
        matrix, genes, lacking = matrix[:, columns], genes[columns], lacking[columns]
    return CountRows(matrix, totals, genes, lacking)


def read_counts(
    table: AnnData,
    rows: NDArray[np.int64],
    *,
    counts_layer: str | None = None,
    gex_only: GexOnly = None,
    genes: Sequence[str] | None = None,
    dense: bool = False,
) -> tuple[Matrix, NDArray[np.float64]]:
    """Read and check the raw counts of the given rows over some genes, and of no other row.

    Parameters
    ----------
    table, rows, counts_layer, gex_only
        As in :func:`read_rows`.
    genes
        Genes to return, in this order; ``None`` for every feature of the table.
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
        As in :func:`read_rows`, or some of the genes that are asked for are no genes, or were not measured.
    """
    columns = gene_columns(table, genes)
    read = read_rows(table, rows, counts_layer=counts_layer, gex_only=gex_only)
    if columns is not None:
        refuse_no_genes(table.var_names[columns[~read.genes[columns]]])
        refuse_lacking(table.var_names[columns[read.lacking[columns]]])
    counts = (read.counts if columns is None else read.counts[:, columns]).astype(np.float32)
    if dense and sparse.issparse(counts):
        counts = counts.toarray()
    return counts, read.totals


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
    number = f"{int((~keep).sum())} of {keep.size}"
    warn_of_each(
        f"{number} prompts have no counts at all and are not used: {quoted(labels[~keep])}.",
        each=f"{number} ({quoted(labels[~keep])})",
        several="Prompts of several slides have no counts at all and are not used: {which}.",
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


def clear_columns(matrix: Matrix, which: NDArray[np.bool_]) -> None:
    """Set some columns of a matrix that was read to zero, in place."""
    if not which.any():
        return
    if sparse.issparse(matrix):
        matrix.data[which[matrix.indices]] = 0
    else:
        matrix[:, which] = 0


def check_counts(matrix: Matrix, source: Source, table: AnnData, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Raise at the first value of ``matrix`` (the given rows of the source) that is no count.

    Columns of nothing but NaN were not measured: they are set to zero in place, and returned as a boolean array.
    """
    lacking = np.zeros(matrix.shape[1], dtype=bool)
    if matrix.dtype.kind == "b":
        warn_user(
            f"{source.where} is boolean: it says whether a gene was found at a spot, not how often. Each True is taken for one "
            "count; pass `counts_layer=` with the layer of raw counts."
        )
    found = _first_bad(matrix)
    if found is not None and np.isnan(found[2]):
        lacking = _all_nan(matrix)
        lacking &= not lacking.all()
        clear_columns(matrix, lacking)
        found = _first_bad(matrix)
    if found is None:
        return lacking
    row, column, value = found
    place = f"spot {table.obs_names[rows[row]]!r}, gene {source.var.index[column]!r}"
    msg = f"{source.where} holds {_trouble(value)} ({place}) where raw counts are needed. {_advice(source, table, rows, value)}"
    raise ValueError(msg)


def _all_nan(matrix: Matrix) -> NDArray[np.bool_]:
    """Which columns hold nothing but NaN."""
    if not sparse.issparse(matrix):
        return np.isnan(matrix).all(axis=0)
    missing = np.bincount(matrix.indices[np.isnan(matrix.data)], minlength=matrix.shape[1])
    return np.asarray(missing == matrix.shape[0])


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


def _advice(source: Source, table: AnnData, rows: NDArray[np.int64], value: float) -> str:
    if np.isnan(value):
        return (
            "NaN is not measured: leave spots that were not measured out of the prompt mask. Where joining objects "
            "(`anndata.concat(..., join='outer')`) left NaN at genes that one slide lacks, name the slides with `slide_key=`, "
            "and such genes are unknown on that slide; or join with join='inner'."
        )
    if np.isinf(value):
        return "Leave spots that were not measured out of the prompt mask."
    if _holds_counts(table, rows):
        return f"The values look normalised or scaled, and `.raw` holds counts: pass counts_layer={_keys.RAW!r}."
    others = [name for name in named_layers(table) if name != source.layer]
    known = f"Others here: {others}." if others else "There is no other layer: put the raw counts in X or in a layer."
    return f"The values look normalised or scaled: name the layer with raw counts by `counts_layer=`. {known}"


def _holds_counts(table: AnnData, rows: NDArray[np.int64]) -> bool:
    """Whether ``.raw`` holds counts at the rows that are read, and is what ``counts_layer="raw"`` means."""
    if table.raw is None or _keys.RAW in table.layers:
        return False
    try:
        matrix = open_source(table, _keys.RAW).rows(rows)
    except TypeError:
        return False
    return _first_bad(matrix) is None


def refuse_lacking(names: pd.Index) -> None:
    """Raise where some genes are asked for that were not measured."""
    if len(names):
        msg = (
            f"{len(names)} of the genes asked for were not measured at any spot that is read ({quoted(names)}): they are NaN there, "
            "or without a count where many are to be expected. Leave them out of `genes=`."
        )
        raise ValueError(msg)
