"""The Visium-style record in ``uns["spatial"]`` and the thumbnail in it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from .. import _keys

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

THUMBNAIL_PX = 1000


def open_picture(path: Path) -> Image.Image:
    """Open a picture without decoding it, whole sections included.

    ``Image.open`` takes sections beyond 179 megapixels for an attack; the JPEG class itself does not.
    """
    if path.suffix.lower() in {".jpg", ".jpeg"}:
        return JpegImageFile(str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path)


def thumbnail(path: Path, max_px: int = THUMBNAIL_PX) -> tuple[NDArray[np.uint8], float]:
    """Small RGB copy of a picture and its scale (thumbnail pixels per full-resolution pixel).

    A JPEG is decoded at an eighth, a quarter or half of its size, never whole.
    """
    with open_picture(path) as picture:
        full_width = picture.width
        picture.draft("RGB", (max_px, max_px))
        small = picture if picture.mode == "RGB" else picture.convert("RGB")
        small.thumbnail((max_px, max_px))
        return np.asarray(small, dtype=np.uint8).copy(), small.width / full_width


def visium_record(
    *, spot_diameter_px: float, metadata: dict[str, Any], image_path: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Build ``uns["spatial"][library]``; without a picture it has no images, which plots need ``shape=None`` for."""
    scalefactors: dict[str, float] = {_keys.SPOT_DIAMETER: float(spot_diameter_px)}
    record: dict[str, dict[str, Any]] = {_keys.SCALEFACTORS: scalefactors, _keys.METADATA: dict(metadata)}
    if image_path is not None:
        picture, scale = thumbnail(image_path)
        record[_keys.IMAGES] = {_keys.HIRES: picture}
        scalefactors[_keys.HIRES_SCALEF] = scale
        record[_keys.METADATA][_keys.SOURCE_IMAGE] = str(image_path.resolve())
    return record
