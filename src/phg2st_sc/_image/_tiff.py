"""TIFF files through tifffile's zarr store: strips, tiles, OME-TIFF and SVS-like pyramids."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from ._chunked import ChunkedImage
from ._pixels import CHANNELS

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_UM_PER_UNIT = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}


def open_tiff(path: Path) -> ChunkedImage:
    """Open the first series of a TIFF file with all of its pyramid levels; no pixel is decoded."""
    import tifffile

    try:
        file = tifffile.TiffFile(path)
    except tifffile.TiffFileError as error:
        msg = f"{path} is named like a TIFF file but is none: {error}. Pass the full-resolution H&E image."
        raise ValueError(msg) from error
    try:
        return _open_series(path, file)
    except BaseException:
        file.close()
        raise


def _open_series(path: Path, file: TiffFile) -> ChunkedImage:
    import zarr

    series = file.series[0]
    axes, dropped = _axes(path, series)
    opened = [zarr.open_array(series.aszarr(level=level), mode="r") for level in range(len(series.levels))]
    arrays: list[Any] = [_Squeezed(array, dropped) for array in opened] if dropped else list(opened)
    keyframe: Any = series.keyframe
    photometric = getattr(keyframe.photometric, "name", "")
    if photometric == "PALETTE":
        msg = f"{path} stores colours through a palette. Convert it to RGB."
        raise ValueError(msg)
    fix = _invert if photometric == "MINISWHITE" else None
    return ChunkedImage(arrays, axes, mpp=_mpp(file), close=file.close, fix=fix)


def _axes(path: Path, series: TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Axis order without the axes of length one, and which those are."""
    kept, dropped, channels = "", [], 1
    for axis, (letter, size) in enumerate(zip(series.axes, series.shape, strict=True)):
        if letter in "YX":
            kept += letter.lower()
        elif size == 1:
            dropped.append(axis)
        else:
            kept += "c"
            channels = size
    if kept not in ("yx", "yxc", "cyx") or channels not in CHANNELS:
        msg = f"{path} has axes {series.axes} of sizes {tuple(series.shape)}, which is no grey, RGB or RGBA image."
        raise ValueError(msg)
    return kept, tuple(dropped)


class _Squeezed:
    """A zarr array seen without its axes of length one."""

    def __init__(self, array: Any, axes: tuple[int, ...]) -> None:
        self._array, self._axes = array, frozenset(axes)
        self.dtype = array.dtype
        self.shape = self._keep(array.shape)
        self.chunks = self._keep(array.chunks)

    def _keep(self, values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(value for axis, value in enumerate(values) if axis not in self._axes)

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        kept = iter(index)
        full = tuple(0 if axis in self._axes else next(kept) for axis in range(len(self._array.shape)))
        return self._array[full]


def _invert(pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if pixels.dtype.kind == "f":
        return 1.0 - pixels
    return np.iinfo(pixels.dtype).max - pixels


def _mpp(file: TiffFile) -> float | None:
    """µm per pixel from OME-XML or an Aperio description; resolution tags are too often wrong to be used."""
    if file.is_ome and file.ome_metadata:
        pixels = ElementTree.fromstring(file.ome_metadata).find(".//{*}Pixels")  # noqa: S314
        if pixels is not None and "PhysicalSizeX" in pixels.attrib:
            unit = _UM_PER_UNIT.get(pixels.attrib.get("PhysicalSizeXUnit", "µm"))
            return None if unit is None else float(pixels.attrib["PhysicalSizeX"]) * unit
    first: Any = file.pages[0]
    found = re.search(r"\bMPP\s*=\s*([0-9.]+)", first.description or "")
    return float(found.group(1)) if found else None
