"""TIFF files through tifffile's zarr store: strips, tiles, OME-TIFF and SVS-like pyramids."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._warn import warn_user
from ._channels import channel_order
from ._chunked import ChunkedImage
from ._files import other_content
from ._picture import warn_orientation
from ._squeezed import Squeezed
from ._tiff_colors import colors_of, samples_of
from ._tiff_metadata import ImageMetadata, metadata_of
from ._tiff_series import choose_series

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_ORIENTATION = 274


def open_tiff(
    path: Path, *, series: int | str | None = None, white: float | None = None, max_pixels: float | None = None
) -> ChunkedImage:
    """Open the scan in a TIFF file with all of its pyramid levels; no pixel is decoded."""
    import tifffile

    file = None
    try:
        file = tifffile.TiffFile(path)
        _tell_lost_pages(path, file)
        chosen = choose_series(path, file, series)
        metadata = metadata_of(file, chosen.series, chosen.index, len(file.series))
        return _open_series(path, file, chosen.series, metadata, white, max_pixels)
    except BaseException as error:
        if file is not None:
            file.close()
        if (
            not isinstance(error, Exception)
            or isinstance(error, (MemoryError, PermissionError))
            or str(path) in str(error)
        ):
            raise
        # damaged tags end in errors of many kinds
        said = other_content(path)
        what = f"is {said}" if said else f"cannot be read as a TIFF file: {error}"
        msg = f"{path} {what}. Pass the full-resolution H&E image, and fetch the file again if it is damaged."
        raise ValueError(msg) from error


def _open_series(
    path: Path,
    file: TiffFile,
    series: TiffPageSeries,
    metadata: ImageMetadata,
    white: float | None,
    max_pixels: float | None,
) -> ChunkedImage:
    import zarr

    axes, dropped, channels = _axes(series)
    levels = _levels(series)
    for level in levels:
        _check_whole(path, level)
    page: Any = series.keyframe
    samples = samples_of(page, channels, str(path), white=white, bits=metadata.bits)
    if axes == "cyx":
        samples.order = channel_order(metadata.channels, str(path))
    if page.tags.valueof(_ORIENTATION, 1) in range(2, 9):
        warn_orientation(str(path))
    opened = [zarr.open_array(series.aszarr(level=series.levels.index(level)), mode="r") for level in levels]
    arrays: list[Any] = [Squeezed(array, dropped) for array in opened] if dropped else list(opened)
    return ChunkedImage(
        arrays,
        axes,
        samples,
        mpp=metadata.mpp,
        close=file.close,
        absent=lambda level, row, column: _is_absent(levels[level], row, column),
        max_pixels=max_pixels,
    )


def _axes(series: TiffPageSeries) -> tuple[str, tuple[int, ...], int]:
    """Axis order without the axes of length one, which those are, and the number of channels."""
    kept, dropped, channels = "", [], 1
    for axis, (letter, size) in enumerate(zip(series.axes, series.shape, strict=True)):
        if letter in "YX":
            kept += letter.lower()
        elif size == 1:
            dropped.append(axis)
        else:
            kept += "c"
            channels = size
    return kept, tuple(dropped), channels


def _levels(series: TiffPageSeries) -> list[TiffPageSeries]:
    """Return the levels that are the same picture, smaller: same proportions, same kind of samples."""
    levels: list[TiffPageSeries] = []
    y, x = series.axes.index("Y"), series.axes.index("X")
    height, width = series.shape[y], series.shape[x]
    kind = _kind(series)
    for level in series.levels:
        if level.axes != series.axes or _kind(level) != kind:
            continue
        rows, columns = level.shape[y], level.shape[x]
        # a level is cut or padded to whole pixels, some writers' to whole tiles of the base
        same = abs(rows * width - columns * height) <= 2 * max(height, width)
        if not levels or (same and rows < levels[-1].shape[y]):
            levels.append(level)
    return levels


def _kind(series: TiffPageSeries) -> tuple[Any, ...]:
    page: Any = series.keyframe
    return colors_of(page), page.dtype, page.bitspersample, page.samplesperpixel, tuple(page.extrasamples)


def _check_whole(path: Path, level: TiffPageSeries) -> None:
    """Refuse a file that ends before its data do, or has fewer tiles than its size asks for."""
    size = level.parent.filehandle.size if level.parent is not None else np.inf
    keyframe: Any = level.keyframe
    asked, across = math.prod(keyframe.chunked), _across(keyframe)
    least = asked - across if asked > across else asked  # some scanners leave out the last row
    for page in level.pages:
        if page is None:
            msg = f"{path} is one file of several, and others that it names are missing. Keep them in one folder."
            raise ValueError(msg)
        offsets, counts = np.asarray(page.dataoffsets), np.asarray(page.databytecounts)
        n = min(len(offsets), len(counts))
        end = int((offsets[:n] + counts[:n]).max(initial=0))
        if n < least:
            msg = f"{path} is damaged: it has {n} of the {asked} tiles or strips that it should have. Fetch it again."
            raise ValueError(msg)
        if page.parent is level.parent and end > size:
            msg = f"{path} is cut short: its data end at byte {end}, the file at {size}. Fetch it again."
            raise ValueError(msg)


def _tell_lost_pages(path: Path, file: TiffFile) -> None:
    """Warn where the list of pictures in the file goes on beyond its end: what is left may not be the scan."""
    form, handle, last = file.tiff, file.filehandle, file.pages[-1]
    handle.seek(last.offset)
    tags = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))[0]
    handle.seek(last.offset + form.tagnosize + tags * form.tagsize)
    following = handle.read(form.offsetsize)
    if len(following) == form.offsetsize and struct.unpack(form.offsetformat, following)[0] > handle.size:
        warn_user(
            f"{path} is cut short or damaged: pictures beyond the first {len(file.pages)} in it are lost. Fetch it again; what is "
            "left is read, and may not be the scan."
        )


def _across(page: Any) -> int:
    """Tiles in a row."""
    return int(dict(zip(page.axes, page.chunked, strict=True)).get("X", 1))


def _is_absent(level: TiffPageSeries, row: int, column: int) -> bool:
    """Whether a tile or strip has no data in the file, in any plane of it."""
    page: Any = level.keyframe
    across = _across(page)
    down = dict(zip(page.axes, page.chunked, strict=True)).get("Y", 1)
    for one in level.pages:
        counts = one.databytecounts  # type: ignore[union-attr]
        for plane in range(max(1, len(counts) // (across * down))):
            number = plane * across * down + row * across + column
            if number >= len(counts) or counts[number] == 0:
                return True
    return False
