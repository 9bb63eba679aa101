"""Which software wrote a file of features, by its name and what it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._file import FeatureFile
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
        opened = _open_path(Path(source).expanduser(), index, element)
    elif isinstance(source, (pd.DataFrame, np.ndarray)):
        opened = (
            of_frame(source, index) if isinstance(source, pd.DataFrame) else of_array(source, "array", _names(index))
        )
    else:
        msg = f"`features` must be a path, a DataFrame or an array, got {type(source).__name__}."
        raise TypeError(msg)
    return opened


def _open_path(path: Path, index: Any, element: str | None) -> FeatureFile:
    if not path.exists():
        msg = f"No features at {str(path)!r}: there is no such file or folder."
        raise FileNotFoundError(msg)
    if path.is_dir():
        return open_lazyslide(path, element)
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        return open_h5(path)
    if suffix == ".npy":
        return of_array(_mapped(path), str(path), _names(index))
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


def _mapped(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        msg = f"{str(path)!r} cannot be read as an array of numbers ({error}): save it with `numpy.save` of a plain array."
        raise ValueError(msg) from None


def _names(index: Any) -> NDArray[np.str_] | None:
    if index is None:
        return None
    if isinstance(index, (str, Path)):
        lines = Path(index).expanduser().read_text(encoding="utf-8").splitlines()
        index = [line.strip() for line in lines if line.strip()]
    return np.asarray(index).astype(str)
