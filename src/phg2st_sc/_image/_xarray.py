"""xarray images: a DataArray, or the multiscale DataTree of SpatialData."""

from __future__ import annotations

from typing import Any

from ._channels import CHANNELS, channel_order
from ._chunked import ChunkedImage
from ._memory import ArrayImage
from ._named import with_known_axes
from ._samples import Samples

Opened = ArrayImage | ChunkedImage


def from_data_array(array: Any, where: str, *, white: float | None = None) -> Opened:
    """Wrap a DataArray with dimensions (c, y, x) in any order, backed by numpy or dask."""
    ordered, axes = _order(array)
    return from_backing([ordered.data], axes, _samples(ordered, where, white))


def from_data_tree(tree: Any, where: str, *, white: float | None = None) -> Opened:
    """Wrap a multiscale DataTree: one child per level, one image variable each, finest first."""
    levels = []
    for child in tree.children.values():
        variables = list(child.data_vars.values())
        if len(variables) != 1:
            msg = f"A multiscale image has one variable per scale, found {len(variables)} in {child.path!r}."
            raise ValueError(msg)
        levels.append(variables[0])
    if not levels:
        msg = "The DataTree holds no scale, hence no image."
        raise ValueError(msg)
    levels.sort(key=lambda level: -level.sizes.get("y", 0))
    ordered = [_order(level) for level in levels]
    return from_backing([level.data for level, _ in ordered], ordered[0][1], _samples(ordered[0][0], where, white))


def from_backing(arrays: list[Any], axes: str, samples: Samples) -> Opened:
    """Wrap what lies behind an xarray object, or a bare array."""
    if all(hasattr(array, "dask") for array in arrays):
        return ChunkedImage(arrays, axes, samples)
    return ArrayImage(arrays, axes, samples)


def _samples(array: Any, where: str, white: float | None) -> Samples:
    samples = Samples(array.dtype, where=where, white=white)
    if "c" in array.coords and "c" in array.dims:
        samples.order = channel_order(array.coords["c"].values.tolist(), where)
    return samples


def _order(array: Any) -> tuple[Any, str]:
    array = with_known_axes(array)
    dims = [str(dim) for dim in array.dims]
    if "y" not in dims or "x" not in dims:
        msg = (
            f"The image has dimensions {dims}; expected `y`, `x` and, for colours, `c`: name them with "
            "`image.rename({...: 'y', ...: 'x', ...: 'c'})`."
        )
        raise ValueError(msg)
    extra = [dim for dim in dims if dim not in ("c", "y", "x")]
    wrong = [dim for dim in extra if array.sizes[dim] != 1]
    if wrong or ("c" in dims and array.sizes["c"] not in CHANNELS):
        msg = f"The image has sizes {dict(array.sizes)}; expected one plane of c = 1 (grey), 3 (RGB) or 4 (RGBA)."
        raise ValueError(msg)
    array = array.squeeze(extra, drop=True) if extra else array
    axes = "cyx" if "c" in dims else "yx"
    return array.transpose(*axes), axes
