"""Where the counts of an object are: ``X``, a layer or ``.raw``; and chosen rows of them, unchecked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._text import quoted

if TYPE_CHECKING:
    from anndata import AnnData

Matrix: TypeAlias = Any
"""Dense array, CSR matrix or CSR array (rows, genes)."""


@dataclass(frozen=True, eq=False)
class Source:
    """A matrix of counts, and the features that it has.

    Attributes
    ----------
    values
        The matrix over all rows of the table; in memory, backed, or dask.
    var
        Its features, which are more than those of the table in ``.raw``.
    where
        What messages call it.
    layer
        The ``counts_layer`` that it is; ``None`` for ``X``.
    """

    values: Any
    var: pd.DataFrame
    where: str
    layer: str | None = None

    def columns(self, table: AnnData) -> NDArray[np.int64] | None:
        """Column of each gene of the table; ``None`` where they are the table's, in its order.

        Raises
        ------
        KeyError
            The table has genes that are not here.
        """
        if self.var is table.var or self.var.index.equals(table.var_names):
            return None
        columns = self.var.index.get_indexer(table.var_names)
        missing = table.var_names[columns < 0]
        if len(missing):
            msg = f"{len(missing)} genes of the table are not in {self.where}: {quoted(missing)}. Leave them out of the table."
            raise KeyError(msg)
        return columns.astype(np.int64)

    def rows(self, rows: NDArray[np.int64]) -> Matrix:
        """Return a copy of the given rows, dense or CSR, without checking their values."""
        if isinstance(self.values, np.ndarray) or sparse.issparse(self.values):
            picked = self.values[rows]
        else:  # h5py, zarr and backed sparse matrices want rows once and in order
            unique, back = np.unique(rows, return_inverse=True)
            picked = _read_lazy(self.values, unique)[back]
        if isinstance(picked, np.ma.MaskedArray) and np.ma.is_masked(picked):
            picked = np.ma.filled(picked.astype(np.float64), np.nan)  # what is masked is no count
        picked = picked.tocsr() if sparse.issparse(picked) else np.asarray(picked)
        return _as_numeric(picked, self.where)


def open_source(table: AnnData, counts_layer: str | None) -> Source:
    """Find the counts of a table.

    Parameters
    ----------
    table
        Table with the counts.
    counts_layer
        Layer that holds them; ``None`` for ``X``; ``"raw"`` for ``.raw``, unless a layer has that name.

    Raises
    ------
    KeyError
        There is no such layer.
    ValueError
        There is no ``X``.
    """
    if counts_layer is None:
        if table.X is None:
            msg = f"The table has no X. Name the layer with raw counts: `counts_layer=`, one of {named_layers(table)}."
            raise ValueError(msg)
        return Source(table.X, table.var, "X")
    if counts_layer in layer_names(table):
        return Source(table.layers[counts_layer], table.var, f"Layer {counts_layer!r}", counts_layer)
    if counts_layer == _keys.RAW and table.raw is not None:
        return Source(table.raw.X, table.raw.var, "`.raw`", counts_layer)
    msg = f"There is no layer {counts_layer!r}. Layers: {named_layers(table)}; `counts_layer=None` reads X."
    raise KeyError(msg)


def has_counts_layer(table: AnnData, counts_layer: str) -> bool:
    """Whether there is such a layer, or ``.raw`` where that is meant."""
    return counts_layer in table.layers or (counts_layer == _keys.RAW and table.raw is not None)


def layer_names(table: AnnData) -> list[str]:
    """Layers of a table, without ``X``, which newer anndata lists among them as ``None``."""
    return [key for key in table.layers if key is not None]


def named_layers(table: AnnData) -> list[str]:
    """What ``counts_layer`` may name."""
    raw = [_keys.RAW] if table.raw is not None else []
    return list(dict.fromkeys([*layer_names(table), *raw]))


def row_totals(matrix: Matrix) -> NDArray[np.float64]:
    """Sum each row in double precision."""
    if sparse.issparse(matrix):
        # sums of sparse matrices are taken in their own precision, products in the better of the two
        return np.asarray(matrix @ np.ones(matrix.shape[1]), dtype=np.float64)
    return matrix.sum(axis=1, dtype=np.float64)


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
