"""One door for every kind of image source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ._base import SlideImage, is_slide_image
from ._channels import axes_of_shape
from ._files import check_path
from ._memory import ArrayImage
from ._named import is_unnamed, layer_of
from ._picture import PictureImage
from ._samples import Samples

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".svs", ".btf", ".ndpi", ".scn", ".qptiff", ".gtiff"})


def open_image(
    source: Any, *, series: int | str | None = None, white: float | None = None, max_pixels: float | None = None
) -> SlideImage:
    """Open an image without decoding it.

    Every function that takes ``image=`` opens it so by itself. Call it, and pass what it returns as ``image=``, where a
    file needs saying which picture in it is meant, what value is white, or that it may be large.

    Parameters
    ----------
    source
        A path (TIFF, OME-TIFF and TIFF-like pyramids such as SVS; JPEG, PNG; a zarr array or OME-zarr folder), an
        xarray ``DataArray`` with dimensions c, y, x, an ``ImageContainer`` of squidpy, a multiscale ``DataTree``
        (SpatialData), a zarr array or group, a dask or numpy array (y, x), (y, x, c) or (c, y, x), or an image that is open
        already, which is returned as it is. Values are bool, uint8, uint16 (0-65535) or float (0-1). Grey becomes RGB; alpha is composited on white.
    series
        Number (from 0) or name of the picture in a file that holds several, as TIFF and OME-zarr may. By default the
        largest in colour that is no label, macro or thumbnail.
    white
        The stored value of white, where it is not that of the type: 4095 for 12 bits stored in 16, 255 for floats of
        0-255. By default what the file says of it, else, for uint16, the full range of the fewest bits (8, 10, 12, 14 or
        16) that hold its values, with a warning where those are not 16.
    max_pixels
        Most pixels that are decoded as one piece: the whole picture of a JPEG or PNG, a tile of a TIFF or zarr. 2³⁰ by
        default, 3 GiB decoded; ``float("inf")`` for no limit.

    Returns
    -------
    SlideImage
        Sizes, levels and chunks are known; pixels are decoded at the first ``read``.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    ValueError
        If the file or array is no grey, RGB or RGBA image, its axis order cannot be told, it has no such ``series``, or a
        piece of it has more pixels than ``max_pixels``.
    TypeError
        If the source is of no known kind, or its values have no agreed range.

    Examples
    --------
    >>> import numpy as np
    >>> import phg2st_sc as phg2st
    >>> twelve_bits = np.full((40, 60, 3), 4095, dtype=np.uint16)
    >>> image = phg2st.io.open_image(twelve_bits, white=4095)
    >>> image.height, image.width
    (40, 60)
    >>> image.read(0, 0, 2, 2)[0, 0].tolist()
    [255, 255, 255]
    """
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source).expanduser(), series, white, max_pixels)
    if is_slide_image(source):
        return source
    return _open_object(source, series, white, "")


def open_named(source: Any, name: str) -> SlideImage:
    """Open an image whose messages call it ``name`` where it is no file, such as an element of a container."""
    if isinstance(source, (str, os.PathLike)) or is_slide_image(source):
        return open_image(source)
    return _open_object(source, None, None, name)


def _open_path(path: Path, series: int | str | None, white: float | None, max_pixels: float | None) -> SlideImage:
    check_path(path)
    if path.is_dir():
        from ._zarr import open_zarr

        return open_zarr(path, series=series, white=white, max_pixels=max_pixels)
    if path.suffix.lower() in TIFF_SUFFIXES or _is_tiff(path):
        from ._tiff import open_tiff

        return open_tiff(path, series=series, white=white, max_pixels=max_pixels)
    _refuse_series(series, str(path))
    return PictureImage(path, white=white, max_pixels=max_pixels)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _open_object(source: Any, series: int | str | None, white: float | None, where: str) -> SlideImage:
    module, name = type(source).__module__, type(source).__name__
    if module.startswith("zarr"):
        from ._zarr import from_zarr

        return from_zarr(source, series=series, white=white, where=where or "The zarr group")
    _refuse_series(series, where or f"The {name}")
    if module.startswith("xarray"):
        from ._xarray import from_data_array, from_data_tree

        if name == "DataTree":
            return from_data_tree(source, where or "The image", white=white)
        if name == "Dataset":
            return from_data_array(layer_of(source), where or "The image", white=white)
        if name == "DataArray" and not is_unnamed(source):
            return from_data_array(source, where or "The image", white=white)
        if name == "DataArray":
            return _open_object(source.data, None, white, where)
    if name == "ImageContainer":
        return _open_object(source.data, None, white, where)
    if (hasattr(source, "dask") and hasattr(source, "chunks")) or isinstance(source, np.ndarray):
        return _open_array(source, white, where or f"The image of shape {tuple(source.shape)}")
    if module.startswith("PIL."):
        raise TypeError("An image of PIL: pass its path, or its colours, `numpy.asarray(image.convert('RGB'))`.")
    msg = (
        f"Cannot open an image from {module}.{name}. Pass a path, a numpy, dask or zarr array, an xarray DataArray or a "
        "multiscale DataTree."
    )
    raise TypeError(msg)


def _open_array(array: Any, white: float | None, where: str) -> SlideImage:
    axes = axes_of_shape(array.shape)
    samples = Samples(array.dtype, where=where, white=white)
    if isinstance(array, np.ndarray):
        return ArrayImage([array], axes, samples)
    from ._chunked import ChunkedImage

    return ChunkedImage([array], axes, samples)


def _refuse_series(series: int | str | None, where: str) -> None:
    if series is not None:
        msg = f"{where} holds one image: `series={series!r}` is for TIFF files and OME-zarr folders that hold several."
        raise ValueError(msg)
