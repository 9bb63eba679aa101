"""Which of the images in a TIFF file is the scan: not the label, the macro, or a thumbnail."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .._warn import warn_user
from ._tiff_colors import color_problem, colors_of

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPageSeries

logger = logging.getLogger("phg2st_sc")

_ASIDE = re.compile(r"(?<![a-z])(label|macro|thumbnail|thumb|overview|map|probability|barcode|preview)(?![a-z])", re.I)
# Aperio, and what imitates it, has "label 387x463" in the second line of the description.
_ASIDE_LINE = re.compile(r"^(label|macro|thumbnail) ", re.I | re.M)
_COLORED = ("RGB", "YCBCR", "PALETTE", "SEPARATED", "CIELAB", "ICCLAB")
_REDUCED, _MASK = 1, 4


@dataclass(frozen=True)
class Candidate:
    """One image of a file.

    Attributes
    ----------
    index
        Its place in the file.
    series
        As tifffile has it.
    height, width
        Size of its finest level.
    colored
        Whether it is in colour.
    aside
        Whether it is a label, a macro, a thumbnail or a mask, by its name or its tags.
    problem
        Why it is no grey, RGB or RGBA image; empty where it is one.
    """

    index: int
    series: TiffPageSeries
    height: int
    width: int
    colored: bool
    aside: bool
    problem: str

    def __str__(self) -> str:
        """Return place, name and size."""
        name = f" {self.series.name!r}" if self.series.name else ""
        return f"{self.index}{name} ({self.height} x {self.width})"


def choose_series(path: Path, file: TiffFile, asked: int | str | None) -> Candidate:
    """Return the image that was asked for, else the largest in colour that is no label, macro or thumbnail.

    Raises
    ------
    ValueError
        If there is none of that number or name, or the file has no image that can be read.
    """
    found = [_candidate(index, series) for index, series in enumerate(file.series)]
    if not found:
        msg = f"{path} has no image in it. Fetch or export the file again."
        raise ValueError(msg)
    if asked is not None:
        return _asked(path, found, asked)
    fitting = [one for one in found if not one.problem and not one.aside] or [one for one in found if not one.problem]
    if not fitting:
        msg = f"{path} {found[0].problem}."
        raise ValueError(msg)
    chosen = max(fitting, key=lambda one: (one.colored, one.height * one.width))
    others = [one for one in fitting if one is not chosen]
    if others:
        msg = (
            f"{path} holds {len(found)} images: {', '.join(map(str, found))}. Number {chosen} is read, the largest in "
            "colour. For another pass `image=phg2st.io.open_image(path, series=...)` with its number or name."
        )
        warn_user(msg)
    elif chosen.index:
        logger.info("%s: image %s is read, not the first.", path, chosen)
    return chosen


def _asked(path: Path, found: list[Candidate], asked: int | str) -> Candidate:
    if isinstance(asked, str):
        fitting = [one for one in found if (one.series.name or "").lower() == asked.lower()]
    else:
        fitting = [one for one in found if one.index == asked]
    if len(fitting) != 1:
        msg = f"{path} has {len(fitting) or 'no'} image `series={asked!r}`; it holds {', '.join(map(str, found))}."
        raise ValueError(msg)
    if fitting[0].problem:
        msg = f"{path}, image {fitting[0]}, {fitting[0].problem}."
        raise ValueError(msg)
    return fitting[0]


def _candidate(index: int, series: TiffPageSeries) -> Candidate:
    sizes = dict(zip(series.axes, series.shape, strict=True))
    page = series.keyframe
    said = page.description if len(page.description) < 1000 else ""
    kind = int(page.subfiletype)
    aside = bool(_ASIDE.search(series.name or "") or _ASIDE_LINE.search(said) or kind & _REDUCED or kind & _MASK)
    colored = colors_of(page) in _COLORED or sizes.get("C", 1) == 3 or sizes.get("S", 1) == 3
    return Candidate(index, series, sizes.get("Y", 0), sizes.get("X", 0), colored, aside, _problem(series))


def _problem(series: TiffPageSeries) -> str:
    """Say why a series is no picture of (y, x), (y, x, c) or (c, y, x)."""
    if 0 in series.shape:
        return f"has no pixels (axes {series.axes} of sizes {tuple(series.shape)}). Fetch or export the file again"
    planes = {letter: size for letter, size in zip(series.axes, series.shape, strict=True) if size != 1}
    stack = [letter for letter in planes if letter not in "YXSCQ"]
    if stack:
        said = " and ".join(f"{planes[letter]} along {letter!r}" for letter in stack)
        return (
            f"is a stack of pictures, {said} (axes {series.axes}), and not one. Save the H&E image as a file of its own"
        )
    colors = [size for letter, size in planes.items() if letter in "SCQ"]
    if {"Y", "X"} - set(series.axes) or len(colors) > 1:
        return f"has axes {series.axes} of sizes {tuple(series.shape)}, which is no grey, RGB or RGBA image"
    return color_problem(series.keyframe, colors[0] if colors else 1)
