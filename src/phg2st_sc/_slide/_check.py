"""Whether spot centres fit an image of a given size, and if not, what was mixed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from ._model import THUMBNAILS, Slide

_SHAPE_TOLERANCE_PX = 1


def check_positions_in_image(slide: Slide, height: int, width: int) -> None:
    """Refuse spot centres that cannot belong to an image of ``height`` x ``width`` pixels.

    Raises
    ------
    ValueError
        If centres are not finite, are swapped, are full-resolution pixels beside a thumbnail, or lie outside for
        another reason: each with its own message.
    """
    positions = slide.positions
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        bad = slide.table.obs_names[slide.rows[~finite]]
        msg = f"Slide {slide.name!r}: {len(bad)} spot centres are NaN or infinite, the first of spot {bad[0]!r}."
        raise ValueError(msg)
    outside = ~_inside(positions, height, width)
    if not outside.any():
        return
    start = (
        f"Slide {slide.name!r}: {int(outside.sum())} of {len(positions)} spot centres lie outside the image of "
        f"{width} x {height} pixels (width x height); they reach x = {positions[:, 0].max():.0f}, "
        f"y = {positions[:, 1].max():.0f}. "
    )
    raise ValueError(start + _reason(slide, height, width))


def _reason(slide: Slide, height: int, width: int) -> str:
    if _inside(slide.positions[:, ::-1], height, width).all():
        return "They fit with x and y swapped: obsm['spatial'] must hold (x, y); mend it with `[:, ::-1]`."
    if slide.image_key in THUMBNAILS:
        key = _keys.scalef(slide.image_key)
        factor = (slide.record.get(_keys.SCALEFACTORS) or {}).get(key)
        return (
            f"They are obsm['spatial'] times the scale factor {key!r} = {factor} of the record: one of the two does not "
            f"belong to the {slide.image_key!r} image. obsm['spatial'] must be in full-resolution pixels."
        )
    thumbnail = _matching_thumbnail(slide.record, slide.positions, height, width)
    if thumbnail is not None:
        return (
            f"The image is the {thumbnail!r} thumbnail while the centres are full-resolution pixels: pass the "
            f"full-resolution image with `image=`, or `image={thumbnail!r}`, which scales the centres."
        )
    return "Pass the image that the centres refer to with `image=`, or correct the centres."


def _matching_thumbnail(
    record: Mapping[str, Any], positions: NDArray[np.float64], height: int, width: int
) -> str | None:
    for key in THUMBNAILS:
        pixels = (record.get(_keys.IMAGES) or {}).get(key)
        if (
            pixels is not None
            and np.abs(np.subtract(np.shape(pixels)[:2], (height, width))).max() <= _SHAPE_TOLERANCE_PX
        ):
            return key
    for key in THUMBNAILS:
        factor = (record.get(_keys.SCALEFACTORS) or {}).get(_keys.scalef(key))
        if factor is not None and _inside(positions * float(factor), height, width).all():
            return key
    return None


def _inside(positions: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = np.all((positions >= 0) & (positions <= (width, height)), axis=1)
    return inside
