"""Images that lie in memory: numpy arrays, and JPEG / PNG files from their first read on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._base import ImageLevel, check_box, downsample
from ._pixels import check_dtype, to_rgb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

_BOMB_LOCK = Lock()


class ArrayImage:
    """Levels of numpy arrays sharing one axis order; converted box by box, never copied whole."""

    mpp: float | None = None

    def __init__(self, arrays: Sequence[NDArray[Any]], axes: str) -> None:
        for array in arrays:
            check_dtype(array.dtype)
        self._arrays = list(arrays)
        self._axes = axes
        self._y, self._x = axes.index("y"), axes.index("x")
        base = self._arrays[0].shape[self._y]
        self.levels = tuple(
            ImageLevel(a.shape[self._y], a.shape[self._x], downsample(base, a.shape[self._y])) for a in self._arrays
        )

    @property
    def height(self) -> int:
        """Height of the base level in pixels."""
        return self.levels[0].height

    @property
    def width(self) -> int:
        """Width of the base level in pixels."""
        return self.levels[0].width

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box of a level; see :class:`SlideImage`."""
        check_box(self.levels[level], (y0, x0, y1, x1))
        index = [slice(None)] * len(self._axes)
        index[self._y], index[self._x] = slice(y0, y1), slice(x0, x1)
        return to_rgb(self._arrays[level][tuple(index)], self._axes)

    def close(self) -> None:
        """Nothing to release: the arrays belong to the caller."""


class PictureImage:
    """A JPEG, PNG or other flat picture file, decoded once, at the first read.

    Opening reads the header only. Orientation tags are ignored: spot coordinates refer to the stored pixels.
    """

    mpp: float | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pixels: NDArray[np.uint8] | None = None
        with _open_picture(path) as picture:
            self.width, self.height = picture.size
        self.levels = (ImageLevel(self.height, self.width, 1.0),)

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box; see :class:`SlideImage`."""
        check_box(self.levels[level], (y0, x0, y1, x1))
        if self._pixels is None:
            self._pixels = self._decode()
        return self._pixels[y0:y1, x0:x1].copy()

    def _decode(self) -> NDArray[np.uint8]:
        with _open_picture(self._path) as picture:
            try:
                return _picture_to_rgb(picture)
            except (OSError, SyntaxError) as error:
                msg = f"Could not decode the image {self._path}: {error}. The file may be cut short; fetch it again."
                raise ValueError(msg) from error

    def close(self) -> None:
        """Drop the decoded pixels; a later read decodes the file again."""
        self._pixels = None


@contextmanager
def _open_picture(path: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    # Whole sections exceed PIL's decompression-bomb limit; the user named this file, so the limit is lifted for its
    # header check and decoding only, and one thread at a time.
    with _BOMB_LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            try:
                picture = Image.open(path)
            except UnidentifiedImageError as error:
                msg = (
                    f"{path} is not an image that can be read (TIFF, OME-TIFF, SVS, JPEG, PNG, zarr). Pass the path "
                    "of the full-resolution H&E image."
                )
                raise ValueError(msg) from error
            with picture:
                yield picture
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _picture_to_rgb(picture: Image) -> NDArray[np.uint8]:
    if picture.mode.startswith("I") or picture.mode == "F":
        pixels = np.asarray(picture)
        if pixels.dtype.kind == "i" and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
            pixels = pixels.astype(np.uint16)
        check_dtype(pixels.dtype)
        return to_rgb(pixels, "yx")
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    mode = "RGBA" if has_alpha else "RGB"
    # PIL's convert copies even where the mode fits, which counts for a whole section.
    return to_rgb(np.asarray(picture if picture.mode == mode else picture.convert(mode)), "yxc")
