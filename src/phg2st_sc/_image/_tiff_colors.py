"""How the pages of a TIFF file store colours, from their tags."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_user
from ._colors import (
    D50,
    D65,
    FULL_RANGES,
    REC601,
    cmyk_to_rgb,
    inverted,
    lab_to_rgb,
    on_white,
    palette_to_rgb,
    plain,
    premultiplied,
    ycbcr_to_rgb,
)
from ._samples import Convert, Samples, full_scale

if TYPE_CHECKING:
    from tifffile import TiffPage

# Decoding these gives RGB where the tag says YCbCr.
_JPEG = ("JPEG", "OJPEG", "ALT_JPEG", "JPEG_LOSSY")
_CONVERT: dict[str, Convert] = {"MINISWHITE": inverted, "SEPARATED": cmyk_to_rgb}
_OWN = {"MINISWHITE": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "SEPARATED": 4, "CIELAB": 3, "ICCLAB": 3}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_INK_SET, _LARGEST, _LUMA, _RANGES, _WHITE_POINT = 332, 281, 529, 532, 318
_D65_POINT = (0.31, 0.33)
_NOT_CMYK = 2


def colors_of(page: TiffPage) -> str:
    """Return how colours reach us once the page is decoded: the photometric tag, and RGB where the codec converts."""
    tag: Any = page.photometric
    photometric = getattr(tag, "name", str(tag))
    compression = getattr(page.compression, "name", "")
    if photometric == "YCBCR" and page.planarconfig == 1 and compression in _JPEG:
        return "RGB"
    if compression == "APERIO_JP2000_YCBC" and photometric in ("RGB", "YCBCR"):
        return "RGB" if _decoded_to_rgb(page) else "YCBCR"
    return photometric


def color_problem(page: TiffPage, channels: int) -> str:
    """Say why the colours of a page cannot be read; empty where they can."""
    colors = colors_of(page)
    own = _own_channels(colors, channels)
    if page.dtype is None:
        return f"stores samples of {page.bitspersample} bits, of a kind that cannot be read. Save the image as RGB of 8 bits"
    if not own or (colors == "SEPARATED" and page.tags.valueof(_INK_SET) == _NOT_CMYK):
        return f"stores colours as {colors}, which cannot be read. Save the image as RGB"
    if isinstance(page.bitspersample, tuple):
        return f"stores colours in {page.bitspersample} bits, which cannot be read. Save the image as RGB of 8 bits"
    if colors in ("CIELAB", "ICCLAB") and getattr(page.compression, "name", "") in _JPEG:
        return "stores colours as Lab in JPEG, which cannot be read. Save the image as RGB"
    if colors == "PALETTE" and np.shape(page.colormap) != (3, 2**page.bitspersample):
        return "stores colours through a palette that is missing or damaged. Fetch the file again, or save the image as RGB"
    if colors == "YCBCR" and page.is_subsampled:
        return "stores colours as YCbCr at a lower resolution and without JPEG, which cannot be read. Save the image as RGB"
    if channels not in (own, own + 1):
        return f"has {channels} channels of {colors}, which is no grey, RGB or RGBA image"
    return ""


def samples_of(page: TiffPage, channels: int, where: str, *, white: float | None, bits: int | None) -> Samples:
    """Return what the samples of a page mean, which :func:`color_problem` has nothing against.

    Parameters
    ----------
    page
        First page of the series.
    channels
        Length of the axis of colours, 1 where there is none.
    where
        What messages call the file.
    white, bits
        Value of white, and bits of 16 that are used, where the user or the file's description says so.
    """
    colors = colors_of(page)
    own, convert = _own_channels(colors, channels), _CONVERT.get(colors, plain)
    if colors == "PALETTE":
        convert = partial(palette_to_rgb, colors=_palette(page))
    if colors == "YCBCR":
        luma, ranges = _fractions(page, _LUMA), _fractions(page, _RANGES)
        convert = partial(ycbcr_to_rgb, luma=luma or REC601, ranges=ranges or FULL_RANGES)
    if colors in ("CIELAB", "ICCLAB"):
        light = D65 if _white_point(page) == _D65_POINT else D50
        convert = partial(lab_to_rgb, signed=colors == "CIELAB", light=light)
    raw = colors in ("PALETTE", "CIELAB", "ICCLAB")
    if channels > own:
        convert = _with_extra(convert, own, page, where, raw=raw)
    if white is None and not raw:
        white = _white(page, bits)
    return Samples(page.dtype, where=where, white=white, convert=convert, raw=raw)


def _own_channels(colors: str, channels: int) -> int:
    """Return how many channels are colours, and 0 where the form is not known."""
    if colors == "MINISBLACK":
        return 3 if channels in (3, 4) else 1
    return _OWN.get(colors, 0)


def _white_point(page: TiffPage) -> tuple[float, ...]:
    return tuple(round(part, 2) for part in _fractions(page, _WHITE_POINT))


def _white(page: TiffPage, bits: int | None) -> float | None:
    stored = page.bitspersample
    if not np.issubdtype(page.dtype, np.unsignedinteger):
        return None
    if stored < 8 * page.dtype.itemsize:
        return float(2**stored - 1)
    if stored != 16:
        return None
    if bits is not None:
        return float(2**bits - 1)
    largest = page.tags.valueof(_LARGEST)
    largest = max(largest) if isinstance(largest, tuple) else largest
    return full_scale(largest) if largest else None


def _palette(page: TiffPage) -> NDArray[np.uint8]:
    wide = np.asarray(page.colormap, dtype=np.float64).T
    # some programs write the palette in 8 bits
    return np.rint(wide / 257.0 if wide.max() > 255 else wide).astype(np.uint8)


def _with_extra(convert: Convert, own: int, page: TiffPage, where: str, *, raw: bool) -> Convert:
    """Composite the channel after the colours on white where it is opacity, else leave it out."""
    kind = int(page.extrasamples[-1]) if page.extrasamples else _UNASSOCIATED
    if kind == _ASSOCIATED and convert is plain:
        return premultiplied
    if kind == _UNASSOCIATED and not raw:
        return lambda pixels: on_white(convert(pixels[..., :own]), pixels[..., own : own + 1])
    warn_user(
        f"{where} has a channel beyond its colours that is not said to be opacity: it is left out. If it marks the "
        "background, save the image as RGB on white."
    )
    return lambda pixels: convert(pixels[..., :own])


def _fractions(page: TiffPage, tag: int) -> tuple[float, ...]:
    stored = page.tags.valueof(tag)
    if stored is None:
        return ()
    pairs = np.asarray(stored, dtype=np.float64).reshape(-1, 2)
    return tuple((pairs[:, 0] / pairs[:, 1]).tolist())


def _decoded_to_rgb(page: TiffPage) -> bool:
    """Whether decoding a JPEG 2000 stream gives RGB: it has a colour transform, or a coarser second component."""
    filehandle = page.parent.filehandle
    filehandle.seek(page.dataoffsets[0])
    start = filehandle.read(400)
    size, coding = start.find(b"\xff\x51"), start.find(b"\xff\x52")
    transformed = coding >= 0 and start[coding + 8 : coding + 9] == b"\1"
    return transformed or (size >= 0 and start[size + 44 : size + 46] != b"\1\1")
