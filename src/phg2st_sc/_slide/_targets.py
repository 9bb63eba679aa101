"""Rows of a table that were never measured, because no spot was there: written by ``pp.add_targets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys

if TYPE_CHECKING:
    from anndata import AnnData

_WORDS = ("True", "true", "TRUE")


def is_target(table: AnnData, rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Return which of the given rows are targets; of every row where ``rows`` is ``None``.

    Gaps in the column, as ``anndata.concat`` leaves them for objects without targets, mean that a row is a spot.
    """
    if _keys.TARGET not in table.obs:
        return np.zeros(table.n_obs if rows is None else len(rows), dtype=bool)
    there = is_true(table.obs[_keys.TARGET])
    return there if rows is None else there[rows]


def is_true(column: pd.Series) -> NDArray[np.bool_]:
    """Which values of a column are true: booleans, ones, or the words that plots want; gaps are not."""
    said = column.isin([True]).to_numpy(dtype=bool)
    if isinstance(column.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(column.dtype):
        said = said | column.isin(_WORDS).to_numpy(dtype=bool)
    return said
