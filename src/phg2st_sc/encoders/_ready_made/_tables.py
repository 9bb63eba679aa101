"""Features in tables and arrays: one row a spot or tile, by name or by place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..._text import quoted
from ._file import FeatureFile, Piece, Rows, check_shape, pieces, taken

_PLACES = ["x", "y"]
_AT_ONCE = 4096
_INDEX = ("Unnamed: 0", "__index_level_")
"""How the name of an index without one begins in a csv, as pandas reads it, and in a parquet file."""
_LAYOUT = "table"


def of_array(values: Any, where: str, names: NDArray[np.str_] | None) -> FeatureFile:
    """Features of an array, whose rows have these names, or are those of the object."""
    if values.dtype.kind not in "biuf":
        msg = f"{where!r}: features must be numbers, got {values.dtype}."
        raise ValueError(msg)
    shape = check_shape(where, values.shape, names=None if names is None else len(names))
    return FeatureFile(where, _LAYOUT, shape, lambda rows: taken(lambda a, b: values[a:b], rows), names=names)


def of_frame(frame: pd.DataFrame, index: Any = None, where: str = "DataFrame") -> FeatureFile:
    """Features of a DataFrame: names are its index or its one column of text, places are its columns ``x`` and ``y``."""
    name, columns = _roles(frame, where, index)
    names = None if isinstance(frame.index, pd.RangeIndex) else frame.index.to_numpy().astype(str)
    if name is not None:
        names = frame[name].to_numpy().astype(str)
    values = frame[columns].to_numpy(dtype=np.float32)
    opened = of_array(values, where, names)
    return replace(opened, places=_places_of(frame), columns=tuple(map(str, columns)))


def open_text(path: Path, index: Any = None) -> FeatureFile:
    """Features of a csv or tsv with a heading, packed or not."""
    separator = "\t" if ".tsv" in path.suffixes else ","

    def blocks(**options: Any) -> Iterator[pd.DataFrame]:
        with pd.read_csv(path, sep=separator, chunksize=_AT_ONCE, **options) as reader:
            yield from reader

    return _streamed(
        path, index, blocks, lambda columns, name: {"usecols": columns, "dtype": {name: str} if name else None}
    )


def open_parquet(path: Path, index: Any = None) -> FeatureFile:
    """Features of a parquet file."""
    import pyarrow.parquet as pq

    def blocks(**options: Any) -> Iterator[pd.DataFrame]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_AT_ONCE, **options):
                yield batch.to_pandas(ignore_metadata=True)

    known = (pq.read_schema(path).pandas_metadata or {}).get("index_columns", [])
    # an index that only counts is a dict and no column
    indexes = [name for name in known if isinstance(name, str)]
    return _streamed(path, index, blocks, lambda columns, _: {"columns": columns}, indexes)


def _streamed(
    path: Path,
    index: Any,
    blocks: Callable[..., Iterator[pd.DataFrame]],
    only: Callable[[list[str], str | None], dict[str, Any]],
    indexes: Sequence[str] = (),
) -> FeatureFile:
    """Features of a file that is read from its beginning, a block of rows at a time."""
    where = str(path)
    try:
        first = next(blocks())
        name, columns = _roles(first, where, index, indexes)
        keys = [*([name] if name is not None else []), *(c for c in _PLACES if set(_PLACES) <= set(first))]
        # a column in any case, to count the rows by
        known = pd.concat(list(blocks(**only(keys or columns[:1], name))), ignore_index=True)
    except StopIteration:
        msg = f"{where!r} holds no rows."
        raise ValueError(msg) from None
    shape = check_shape(where, (len(known), len(columns)))

    def read(rows: Rows) -> Iterator[Piece]:
        start = 0
        for block in blocks(**only(columns, None)):
            wanted = np.flatnonzero((rows >= start) & (rows < start + len(block)))
            if len(wanted):
                yield from pieces(block[columns].to_numpy(dtype=np.float32), rows[wanted] - start, wanted)
            start += len(block)

    names = None if name is None else known[name].to_numpy().astype(str)
    return FeatureFile(
        where, _LAYOUT, shape, read, names=names, places=_places_of(known), columns=tuple(map(str, columns))
    )


def _roles(frame: pd.DataFrame, where: str, index: Any, indexes: Sequence[str] = ()) -> tuple[str | None, list[str]]:
    """Which column names the rows, and which ones are features; those that were an index are none."""
    if index is not None and (not isinstance(index, str) or index not in frame):
        msg = f"`index` of a table is the name of one of its columns, got {index!r:.80}; {where!r} has {quoted(frame.columns)}."
        raise ValueError(msg)
    texts = [c for c in frame.columns if not pd.api.types.is_numeric_dtype(frame[c])]
    places = _PLACES if set(_PLACES) <= set(frame.columns) else []
    indexes = [c for c in frame.columns if c not in places and (c in indexes or str(c).startswith(_INDEX))]
    # an index of text, the column of text, an index that counts
    names = [*(c for c in indexes if c in texts), *texts, *indexes]
    name = index or next(iter(names), None)
    others = [c for c in texts if c != name and c not in indexes]
    if others:
        msg = (
            f"{where!r}: columns {quoted(others)} are no numbers. Keep one column of names, x and y, and the features."
        )
        raise ValueError(msg)
    columns = [c for c in frame.columns if c not in (name, *indexes, *places)]
    if not columns:
        msg = f"{where!r} holds no features beside names and places (columns {quoted(frame.columns)})."
        raise ValueError(msg)
    return name, columns


def _places_of(frame: pd.DataFrame) -> NDArray[np.float64] | None:
    return frame[_PLACES].to_numpy(dtype=np.float64) if set(_PLACES) <= set(frame.columns) else None
