"""Rows of a table that were never measured, because no spot was there: written by ``pp.add_targets``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import _keys

if TYPE_CHECKING:
    from anndata import AnnData


def is_target(table: AnnData, rows: NDArray[np.int64] | None = None) -> NDArray[np.bool_]:
    """Return which of the given rows are targets; of every row where ``rows`` is ``None``.

    Gaps in the column, as ``anndata.concat`` leaves them for objects without targets, mean that a row is a spot.
    """
    if _keys.TARGET not in table.obs:
        return np.zeros(table.n_obs if rows is None else len(rows), dtype=bool)
    marked = table.obs[_keys.TARGET].isin([True]).to_numpy(dtype=bool)
    return marked if rows is None else marked[rows]
