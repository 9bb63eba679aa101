"""What the description of a TIFF file says about one of its images."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

_UM_PER_UNIT = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4}


@dataclass(frozen=True)
class ImageMetadata:
    """What is known of one image.

    Attributes
    ----------
    mpp
        µm per pixel.
    bits
        Bits that are used of those that are stored.
    channels
        Names of the channels.
    """

    mpp: float | None = None
    bits: int | None = None
    channels: tuple[str, ...] = ()


def metadata_of(file: TiffFile, series: TiffPageSeries, index: int, count: int) -> ImageMetadata:
    """Read OME-XML or an Aperio description; resolution tags are too often wrong to be used."""
    if file.is_ome and file.ome_metadata:
        return _of_ome(file.ome_metadata, index, count)
    page: Any = series.keyframe
    found = re.search(r"\bMPP\s*=\s*([0-9.]+)", page.description or "")
    return ImageMetadata(_number(found.group(1)) if found else None)


def _of_ome(xml: str, index: int, count: int) -> ImageMetadata:
    try:
        every = ElementTree.fromstring(xml).findall(".//{*}Pixels")  # noqa: S314
    except ElementTree.ParseError:
        return ImageMetadata()
    if not every or (len(every) != count and index):
        return ImageMetadata()
    pixels = every[index]
    unit = _UM_PER_UNIT.get(pixels.attrib.get("PhysicalSizeXUnit", "µm"))
    size = _number(pixels.attrib.get("PhysicalSizeX"))
    bits = pixels.attrib.get("SignificantBits", "")
    names = [channel.attrib.get("Name", "") for channel in pixels.findall("{*}Channel")]
    return ImageMetadata(
        None if unit is None or size is None else size * unit,
        int(bits) if bits.isdigit() and 8 <= int(bits) <= 16 else None,
        tuple(names),
    )


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
