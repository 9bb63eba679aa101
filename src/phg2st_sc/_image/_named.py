"""Pictures whose axes have names of their own: squidpy's ImageContainer, and arrays with rows, columns and channels."""

from __future__ import annotations

import re
from typing import Any

from .._text import quoted

_MEANT = {
    "y": re.compile(r"y|rows?|height", re.IGNORECASE),
    "x": re.compile(r"x|col(umn)?s?|width", re.IGNORECASE),
    "c": re.compile(r"c|channels?(_\d+)?|bands?|samples?|colou?rs?|rgba?", re.IGNORECASE),
}
_UNNAMED = re.compile(r"dim_\d+")
_IMAGE = "image"


def is_unnamed(array: Any) -> bool:
    """Whether an xarray object has only the names that xarray gives by itself."""
    return all(_UNNAMED.fullmatch(str(dim)) for dim in array.dims)


def with_known_axes(array: Any) -> Any:
    """Call the axes of a DataArray ``c``, ``y`` and ``x``, where their names say which is which."""
    there = {str(dim) for dim in array.dims}
    renamed = {}
    for axis, pattern in _MEANT.items():
        found = [dim for dim in array.dims if pattern.fullmatch(str(dim))]
        if axis not in there and len(found) == 1:
            renamed[found[0]] = axis
    return array.rename(renamed) if renamed else array


def layer_of(dataset: Any) -> Any:
    """The one image among the layers of a Dataset, such as that of squidpy's ImageContainer.

    Raises
    ------
    ValueError
        If there is none or several, or if it is a crop or scaled, so that spot centres are not in its pixels.
    """
    _refuse_crop(dataset.attrs)
    layers = [name for name, layer in dataset.data_vars.items() if not layer.attrs.get("segmentation", False)]
    if len(layers) > 1 and _IMAGE in layers:
        layers = [_IMAGE]
    if len(layers) != 1:
        msg = f"`image=` holds {len(layers)} images ({quoted(layers) or 'none'}): pass one of them, such as `image=img['hne']`."
        raise ValueError(msg)
    return dataset[layers[0]]


def _refuse_crop(attrs: Any) -> None:
    x0, y0, *_ = _numbers(attrs.get("coords"))
    scale = float(attrs.get("scale", 1.0))
    padding = _numbers(attrs.get("padding"))
    if x0 or y0 or any(padding):
        msg = (
            f"`image=` is a crop that begins at x = {x0 - padding[0]:g}, y = {y0 - padding[2]:g} of its picture, and spot centres "
            "are in pixels of the whole one. Pass the container from before it was cropped."
        )
        raise ValueError(msg)
    if scale != 1.0:
        msg = (
            f"`image=` is scaled by {scale:g}, and spot centres are in pixels of the unscaled picture. Pass the container from "
            "before it was scaled, or its array, `image=img['image']`, and centres that are scaled as well."
        )
        raise ValueError(msg)


def _numbers(values: Any) -> tuple[float, ...]:
    """Four numbers of squidpy's ``CropCoords`` (x0, y0, x1, y1) or ``CropPadding`` (x_pre, x_post, y_pre, y_post)."""
    if values is None:
        return 0.0, 0.0, 0.0, 0.0
    values = values.to_tuple() if hasattr(values, "to_tuple") else values
    return tuple(float(value) for value in values)[:4]
