"""HDF5 files of features as TRIDENT and HEST write them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..._text import quoted
from ._file import FeatureFile, Piece, Rows, check_shape, taken

if TYPE_CHECKING:
    import h5py

_VALUES = ("features", "embeddings")
_NAMES = ("barcodes", "barcode")
_PLACES = "coords"
_UM_AT_1X = 10.0
"""µm per pixel at a magnification of 1, as slides are labelled: 20x is 0.5 µm."""


def open_h5(path: Path) -> FeatureFile:
    """Open ``features`` and ``coords`` of TRIDENT, or ``embeddings``, ``barcodes`` and ``coords`` of HEST.

    Both keep the upper left corners of tiles. TRIDENT says how large these are on the slide and at which magnification they
    were read, HEST does not.

    Raises
    ------
    ValueError, KeyError
        If the file holds none of these, or not in this form.
    """
    import h5py

    with h5py.File(path, "r") as file:
        return _described(path, file)


def _described(path: Path, file: h5py.File) -> FeatureFile:
    key = next((name for name in _VALUES if name in file), None)
    if key is None:
        msg = (
            f"{str(path)!r} holds neither {_VALUES[0]!r} (TRIDENT) nor {_VALUES[1]!r} (HEST), only {quoted(file) or 'nothing'}. "
            "Files of patches and coordinates hold no features yet."
        )
        raise KeyError(msg)
    values = _dataset(path, file, key)
    names = next((_text(_dataset(path, file, name)) for name in _NAMES if name in file), None)
    places, facts = None, {}
    if _PLACES in file:
        coordinates = _dataset(path, file, _PLACES)
        places, facts = _corners(path, coordinates), dict(coordinates.attrs)
    for found in (names, places):
        if found is not None:
            check_shape(str(path), values.shape, names=len(found))
    is_trident = key == _VALUES[0]
    return FeatureFile(
        where=str(path),
        layout="TRIDENT" if is_trident else "HEST",
        shape=check_shape(str(path), values.shape),
        read=lambda rows: _read(path, key, rows),
        names=names,
        places=places,
        corners=True,
        tile_px=_number(facts.get("patch_size_level0")),
        tile_um=_side_um(facts),
        encoder=_encoder(path, values) if is_trident else "",
    )


def _dataset(path: Path, file: h5py.File, key: str) -> h5py.Dataset:
    """A dataset of numbers or text that lies in this file: links and storage elsewhere would read other files."""
    import h5py

    link = file.get(key, getlink=True)
    found = file[key] if isinstance(link, h5py.HardLink) else None
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        msg = f"{str(path)!r}: {key!r} is no array that lies in this file."
        raise ValueError(msg)
    is_text = h5py.check_string_dtype(found.dtype) is not None
    if found.dtype.kind not in "biufS" and not is_text:
        msg = f"{str(path)!r}: {key!r} holds {found.dtype}, where numbers or text are needed."
        raise ValueError(msg)
    check_shape(str(path), found.shape if found.ndim == 2 else (*found.shape, 1))
    return found


def _text(dataset: h5py.Dataset) -> NDArray[np.str_]:
    values = dataset[()].ravel()
    decoded = [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in values.tolist()]
    return np.array(decoded, dtype=str)


def _corners(path: Path, dataset: h5py.Dataset) -> NDArray[np.float64]:
    if dataset.ndim != 2 or dataset.shape[1] != 2 or dataset.dtype.kind not in "iuf":
        msg = f"{str(path)!r}: {_PLACES!r} has shape {dataset.shape} of {dataset.dtype}, where (tiles, 2) numbers are needed."
        raise ValueError(msg)
    return np.asarray(dataset[()], dtype=np.float64)


def _read(path: Path, key: str, rows: Rows) -> Iterator[Piece]:
    import h5py

    with h5py.File(path, "r") as file:
        values = _dataset(path, file, key)
        yield from taken(lambda start, stop: values[start:stop], rows)


def _side_um(facts: dict[str, Any]) -> float | None:
    """Side of a tile in µm by the magnification at which it was read, the same for all slides."""
    side, magnification = _number(facts.get("patch_size")), _number(facts.get("target_magnification"))
    return None if side is None or magnification is None else side * _UM_AT_1X / magnification


def _number(value: Any) -> float | None:
    try:
        found = float(np.asarray(value).item())
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) and found > 0 else None


def _encoder(path: Path, values: h5py.Dataset) -> str:
    """Of TRIDENT: an attribute in later versions, and the folder in all of them."""
    said = values.attrs.get("encoder", "")
    said = said.decode() if isinstance(said, bytes) else str(said)
    folder = path.resolve().parent.name
    return said or (folder.removeprefix("features_") if folder.startswith("features_") else "")
