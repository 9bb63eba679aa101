"""One door for every kind of image source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ._base import SlideImage, is_slide_image
from ._memory import ArrayImage, PictureImage
from ._pixels import axes_of_shape

TIFF_SUFFIXES = frozenset({".tif", ".tiff", ".svs", ".btf", ".ndpi", ".scn", ".qptiff", ".gtiff"})


def open_image(source: Any) -> SlideImage:
    """Open an image without decoding it.

    Parameters
    ----------
    source
        A path (TIFF, OME-TIFF and TIFF-like pyramids such as SVS; JPEG, PNG; a zarr array or OME-zarr folder), an
        xarray ``DataArray`` with dimensions c, y, x, a multiscale ``DataTree`` (SpatialData), a zarr array or group, a
        dask or numpy array (y, x), (y, x, c) or (c, y, x), or an image that is open already, which is returned as it
        is. Values are uint8, uint16 (0-65535) or float (0-1). Grey becomes RGB; alpha is composited on white.

    Returns
    -------
    SlideImage
        Sizes, levels and chunks are known; pixels are decoded at the first ``read``.

    Raises
    ------
    FileNotFoundError
        If the path does not exist.
    ValueError
        If the file or array is no grey, RGB or RGBA image, or its axis order cannot be told.
    TypeError
        If the source is of no known kind, or its values have no agreed range.

    Examples
    --------
    >>> import numpy as np
    >>> image = open_image(np.full((40, 60, 3), 255, dtype=np.uint8))
    >>> image.height, image.width
    (40, 60)
    >>> image.read(0, 0, 2, 2).shape
    (2, 2, 3)
    """
    if isinstance(source, (str, os.PathLike)):
        return _open_path(Path(source))
    if is_slide_image(source):
        return source
    return _open_object(source)


def _open_path(path: Path) -> SlideImage:
    path = path.expanduser()
    if not path.exists():
        msg = f"Image file not found: {path}. Pass `image=` with the path of the full-resolution H&E image."
        raise FileNotFoundError(msg)
    if path.is_dir():
        from ._zarr import open_zarr

        return open_zarr(path)
    if path.suffix.lower() in TIFF_SUFFIXES or _is_tiff(path):
        from ._tiff import open_tiff

        return open_tiff(path)
    return PictureImage(path)


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _open_object(source: Any) -> SlideImage:
    module, name = type(source).__module__, type(source).__name__
    if module.startswith("xarray"):
        from ._xarray import from_data_array, from_data_tree

        if name == "DataTree":
            return from_data_tree(source)
        if name == "DataArray":
            return from_data_array(source)
    if module.startswith("zarr"):
        from ._zarr import from_zarr

        return from_zarr(source)
    if hasattr(source, "dask") and hasattr(source, "chunks"):
        from ._chunked import ChunkedImage

        return ChunkedImage([source], axes_of_shape(source.shape))
    if isinstance(source, np.ndarray):
        return ArrayImage([source], axes_of_shape(source.shape))
    msg = (
        f"Cannot open an image from {module}.{name}. Pass a path, a numpy, dask or zarr array, an xarray DataArray or a "
        "multiscale DataTree."
    )
    raise TypeError(msg)
