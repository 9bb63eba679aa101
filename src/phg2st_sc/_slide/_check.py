"""Whether spot centres fit an image of a given size, and if not, what was mixed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from .._warn import warn_user
from ._finite import check_finite_centers
from ._model import THUMBNAILS, Slide

_SHAPE_TOLERANCE_PX = 1
_FEW_SHARE = 0.05
_CLEARLY_FEWER = 0.1
_AT_THE_EDGE_PITCHES = 0.5
_MOST_NAMED = 5
_LARGER = 1.5


def check_positions_in_image(slide: Slide, height: int, width: int) -> None:
    """Refuse spot centres that cannot belong to an image of ``height`` x ``width`` pixels.

    A few that lie outside by less than half a pitch belong to it still, as those of a scan that was cut close: they are only
    warned of.

    Raises
    ------
    ValueError
        If centres are not finite, are swapped, are full-resolution pixels beside a thumbnail, or lie outside for
        another reason: each with its own message.
    """
    check_finite_centers(slide)
    positions = slide.positions
    outside = ~_inside(positions, height, width)
    if not outside.any():
        return
    names = slide.table.obs_names[slide.rows[outside]]
    if (
        outside.mean() <= _FEW_SHARE
        and (_beyond(positions, height, width) <= _AT_THE_EDGE_PITCHES * slide.pitch_px).all()
    ):
        warn_user(
            f"Slide {slide.name!r}: the centres of {len(names)} of {len(positions)} spots lie just outside the image of {width} x "
            f"{height} pixels: {quoted(names)}. The part of their tiles that is beyond it is taken as white. {_leave_out(names)}"
        )
        return
    start = (
        f"Slide {slide.name!r}: {int(outside.sum())} of {len(positions)} spot centres lie outside the image of "
        f"{width} x {height} pixels (width x height); they reach x = {positions[:, 0].max():.0f}, "
        f"y = {positions[:, 1].max():.0f}. "
    )
    reason = _swapped(positions, height, width)
    if outside.mean() <= _FEW_SHARE:
        if reason:
            reason += f" If x and y are right as they are (look with `pl.tiles(data)`), {quoted(names)} are misplaced."
        else:
            reason = f"The others fit: {quoted(names)} may be misplaced. {_leave_out(names)}"
    raise ValueError(start + (reason or _reason(slide, height, width)))


def _leave_out(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
    return f"To leave them out: `adata[~adata.obs_names.isin([{shown}])].copy()`."


def _beyond(positions: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """How far each centre lies outside, along the axis where it is farthest; 0 inside."""
    far: NDArray[np.float64] = np.maximum(-positions, positions - (width, height)).max(axis=1).clip(min=0.0)
    return far


def _swapped(positions: NDArray[np.float64], height: int, width: int) -> str:
    """What to say where clearly fewer centres lie outside with x and y swapped; nothing else."""
    outside = int((~_inside(positions, height, width)).sum())
    left = int((~_inside(positions[:, ::-1], height, width)).sum())
    if left > _CLEARLY_FEWER * outside:
        return ""
    fit = "They fit" if left == 0 else f"All but {left} fit"
    return f"{fit} with x and y swapped: obsm['spatial'] must hold (x, y); mend it with `[:, ::-1]`."


def _reason(slide: Slide, height: int, width: int) -> str:
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
    times = float((slide.positions.max(axis=0) / (width, height)).min())
    if times >= _LARGER:
        return (
            f"They reach over {times:.3g} times its width and height: they are pixels of a larger picture, of which this one may "
            "be a thumbnail. Pass the full-resolution image with `image=`, or scale the centres."
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
