"""JPEG, PNG and other flat picture files: read as a whole, at the first read."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_user
from ._base import ImageLevel, check_box
from ._colors import lab_to_rgb
from ._files import check_size, other_content
from ._samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from PIL.Image import Image

_LIMIT_LOCK = Lock()
_ORIENTATION = 0x0112
_BITS_IN_SIZE = 42
_MOVING = ("AVIF", "GIF", "PNG", "WEBP")
_PROPRIETARY = (".mrxs", ".vsi", ".czi", ".dcm", ".isyntax", ".vms", ".lif", ".nd2", ".mds", ".sdpc", ".kfb", ".bif")


class PictureImage:
    """A JPEG, PNG or other flat picture file, decoded once, at the first read.

    Opening reads the header only. Orientation tags are ignored: spot coordinates refer to the stored pixels.
    """

    mpp: float | None = None
    has_transparent = False
    bears_threads = True

    def __init__(self, path: Path, *, white: float | None = None, max_pixels: float | None = None) -> None:
        self._path, self._said_white, self._max_pixels = path, white, max_pixels
        self.where = str(path)
        self._pixels: NDArray[np.uint8] | None = None
        self._lock = Lock()
        with _open_picture(path) as picture:
            self.width, self.height = picture.size
            _tell(picture, path)
        check_size(self.height, self.width, self.where, max_pixels)
        self.levels = (ImageLevel(self.height, self.width, 1.0),)

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box; see :class:`SlideImage`."""
        check_box(self.levels[level], (y0, x0, y1, x1))
        with self._lock:
            if self._pixels is None:
                self._pixels = self._decode()
            pixels = self._pixels
        return pixels[y0:y1, x0:x1].copy()

    def __reduce__(self) -> tuple[Callable[..., PictureImage], tuple[Path]]:
        """Travel to another process as the file that it is."""
        return functools.partial(PictureImage, white=self._said_white, max_pixels=self._max_pixels), (self._path,)

    def _decode(self) -> NDArray[np.uint8]:
        with _open_picture(self._path) as picture:
            try:
                stored, white = _stored(picture, self._path)
            except MemoryError:
                raise
            except Exception as error:  # decoders raise what they like
                msg = f"Could not decode the image {self._path}: {error}. The file may be cut short; fetch it again."
                raise ValueError(msg) from error
            is_lab = picture.mode == "LAB"
        axes = "yx" if stored.ndim == 2 else "yxc"
        if is_lab:
            convert = functools.partial(lab_to_rgb, signed=True)
            return Samples(stored.dtype, where=self.where, convert=convert, raw=True).rgb(stored, axes)
        samples = Samples(stored.dtype, where=self.where, white=self._said_white or white)
        if samples.unsure:
            samples.look(stored)
        pixels = samples.rgb(stored, axes)
        self.has_transparent = samples.has_transparent
        return pixels

    def close(self) -> None:
        """Drop the decoded pixels; a later read decodes the file again."""
        self._pixels = None


@contextmanager
def _open_picture(path: Path) -> Iterator[Image]:
    from PIL import Image

    # Whole sections exceed PIL's decompression-bomb limit, and have one of their own here: PIL's is lifted while the file
    # is open, one thread at a time.
    with _LIMIT_LOCK:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with _identified(path) as picture:
                yield picture
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _identified(path: Path) -> Image:
    from PIL import Image

    try:
        return Image.open(path)
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # so do those of headers
        said = other_content(path)
        if not said and path.suffix.lower() in _PROPRIETARY:
            said = "a scanner's own format; export it as OME-TIFF, with QuPath or bfconvert"
        if said:
            msg = f"{path} is {said}. `image=` takes TIFF, OME-TIFF, SVS, JPEG, PNG and zarr."
        else:
            msg = (
                f"{path} is not an image that can be read (TIFF, OME-TIFF, SVS, JPEG, PNG, zarr): {error}. Pass the path of "
                "the full-resolution H&E image."
            )
        raise ValueError(msg) from error


def _tell(picture: Image, path: Path) -> None:
    """Say what of the file is not used, where it may be what the user sees elsewhere."""
    if picture.format in _MOVING and getattr(picture, "is_animated", False):
        warn_user(f"{path} has several frames; the first is read. Save the H&E image as a picture of its own.")
    if _turned(picture):
        warn_orientation(str(path))


def warn_orientation(where: str) -> None:
    """Say that a picture which other programs show turned is read as it is stored."""
    msg = (
        f"{where} has an orientation tag, by which some programs show it turned. It is read as its pixels are stored. If the "
        "spots were placed on the turned picture, save that and pass it (`PIL.ImageOps.exif_transpose`)."
    )
    warn_user(msg)


def _turned(picture: Image) -> bool:
    try:
        return picture.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # noqa: BLE001 - a damaged tag is no orientation
        return False


def _stored(picture: Image, path: Path) -> tuple[NDArray[Any], float | None]:
    """Decode grey of any depth, RGB or RGBA as stored, anything else that PIL knows as RGB or RGBA; and white where said."""
    if picture.mode.startswith("I") or picture.mode == "F":
        pixels = np.asarray(picture)
        if pixels.dtype.kind == "i" and pixels.min() >= 0 and pixels.max() <= np.iinfo(np.uint16).max:
            pixels = pixels.astype(np.uint16)
        return pixels, None
    if _deep_png(picture) or _bits_of_jpeg2000(picture, path) > 8:
        return _deep(picture, path)
    if picture.mode == "LAB":
        return np.asarray(picture), None
    has_alpha = "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info
    mode = "RGBA" if has_alpha else "RGB"
    # PIL's convert copies even where the mode fits, which counts for a whole section.
    return np.asarray(picture if picture.mode == mode else picture.convert(mode)), None


def _deep(picture: Image, path: Path) -> tuple[NDArray[Any], float | None]:
    """Decode more than 8 bits in colour.

    Of 16 bits PIL keeps the upper 8, which is next to nothing of a camera's 12, and its JPEG 2000 turns white black.
    """
    import imagecodecs

    if picture.format == "PNG":
        return np.asarray(imagecodecs.png_decode(path.read_bytes())), None
    return np.asarray(imagecodecs.jpeg2k_decode(path.read_bytes())), 2.0 ** _bits_of_jpeg2000(picture, path) - 1


def _deep_png(picture: Image) -> bool:
    tiles: Any = getattr(picture, "tile", ())
    return picture.format == "PNG" and bool(tiles) and str(tiles[0][3]).endswith(";16B")


def _bits_of_jpeg2000(picture: Image, path: Path) -> int:
    if picture.format != "JPEG2000":
        return 0
    with path.open("rb") as file:
        start = file.read(4096)
    size = start.find(b"\xff\x4f\xff\x51")
    return (start[size + _BITS_IN_SIZE] & 0x7F) + 1 if 0 <= size < len(start) - _BITS_IN_SIZE else 0
