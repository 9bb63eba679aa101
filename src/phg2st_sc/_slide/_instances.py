"""Which spots of an element the rows of a table name."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def find_instances(index: pd.Index, instances: pd.Series) -> NDArray[np.int64]:
    """Where in an element each instance is, -1 for one that it lacks.

    Where one side holds numbers and the other the text of these, as files turn the one into the other, they are matched as
    text: if nothing matches as it is, all do so, and no two instances are spelled alike.
    """
    wanted = pd.Index(instances.to_numpy())
    where = index.get_indexer(wanted)
    if (where < 0).all():
        known, asked = _as_text(index), _as_text(wanted)
        if known.is_unique and asked.is_unique and asked.isin(known).all():
            where = known.get_indexer(asked)
    return np.asarray(where, dtype=np.int64)


def new_instances(known: pd.Index, instances: pd.Series, n_new: int) -> tuple[pd.Index, pd.Index]:
    """Ids of further places: as the element has them, and as the column of the table that names its instances."""
    numbered = pd.api.types.is_numeric_dtype(instances.dtype)
    if pd.api.types.is_integer_dtype(known.dtype):
        ids: pd.Index = pd.Index(np.arange(n_new) + int(known.max()) + 1, dtype=known.dtype)
        return ids, ids if numbered else ids.astype(str)
    if numbered:  # the element has the text of numbers
        last = int(pd.to_numeric(pd.Series(known), errors="coerce").max())
        ids = pd.Index(np.arange(n_new) + last + 1)
        return ids.astype(str), ids
    taken = set(known)
    start = len(known)
    while any(f"target{start + i}" in taken for i in range(n_new)):
        start += n_new
    named = pd.Index([f"target{start + i}" for i in range(n_new)])
    return named, named


def _as_text(index: pd.Index) -> pd.Index:
    """Names as text; whole numbers without a decimal point."""
    if pd.api.types.is_float_dtype(index.dtype) and (index == np.floor(index)).all():
        index = index.astype(np.int64)
    return index.astype(str)
