"""Which software wrote a file of features, by its name and what it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._file import FeatureFile, Piece, Rows
from ._h5 import open_h5
from ._tables import of_array, of_frame, open_parquet, open_text
from ._zarr import open_lazyslide


def open_features(source: Any, *, index: Any = None, element: str | None = None) -> FeatureFile:
    """Open features without reading them.

    Parameters
    ----------
    source
        HDF5 of TRIDENT or HEST, zarr store of LazySlide, table (csv, tsv, parquet, DataFrame) or array (npy, numpy).
    index
        Names of the rows: of an array a list, or a file with one name a line; of a table the name of a column.
    element
        Table of a store that holds several.

    Raises
    ------
    FileNotFoundError
        If there is nothing at the path.
    TypeError, ValueError, KeyError
        If it is none of these, or not whole.
    """
    if isinstance(source, (str, Path)):
        return _open_path(Path(source).expanduser(), index, element)
    if isinstance(source, pd.DataFrame):
        return of_frame(source, index)
    if isinstance(source, np.ndarray):
        return of_array(source, "array", _names(index))
    msg = f"`features` must be a path, a DataFrame or an array, got {type(source).__name__}."
    raise TypeError(msg)


def _open_path(path: Path, index: Any, element: str | None) -> FeatureFile:
    if not path.exists():
        msg = f"No features at {str(path)!r}: there is no such file or folder."
        raise FileNotFoundError(msg)
    with _explained(path):
        opened = _by_kind(path, index, element)

    def read(rows: Rows) -> Iterator[Piece]:
        with _explained(path):
            yield from opened.read(rows)

    return replace(opened, read=read)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Name the file in the errors of its reader: one that is fed with anything may raise anything."""
    try:
        yield
    except Exception as error:
        if str(path) in str(error) and not isinstance(error, OSError):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        msg = f"{str(path)!r} cannot be read ({reason:.200}). Was it copied completely, and is it what its name says?"
        raise ValueError(msg) from None


def _by_kind(path: Path, index: Any, element: str | None) -> FeatureFile:
    if path.is_dir():
        return open_lazyslide(path, element)
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        return open_h5(path)
    if suffix == ".npy":
        return of_array(np.load(path, mmap_mode="r", allow_pickle=False), str(path), _names(index))
    if suffix == ".parquet":
        return open_parquet(path, index)
    if suffix in (".csv", ".tsv", ".txt", ".gz"):
        return open_text(path, index)
    msg = (
        f"{str(path)!r} is of no kind that holds features: HDF5 of TRIDENT or HEST (.h5), zarr of LazySlide (a folder), .csv, "
        ".tsv, .parquet or .npy. Files of PyTorch and pickles can run code when they are read, so they are not: save the "
        "array with `numpy.save`."
    )
    raise ValueError(msg)


def _names(index: Any) -> NDArray[np.str_] | None:
    if index is None:
        return None
    if isinstance(index, (str, Path)):
        lines = Path(index).expanduser().read_text(encoding="utf-8").splitlines()
        index = [line.strip() for line in lines if line.strip()]
    return np.asarray(index).astype(str)
