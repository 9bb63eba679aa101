"""zarr arrays and OME-zarr multiscale folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._channels import CHANNELS, axes_of_shape, channel_order
from ._chunked import ChunkedImage
from ._samples import Samples, full_scale
from ._squeezed import Squeezed


def open_zarr(
    path: Path, *, series: int | str | None = None, white: float | None = None, max_pixels: float | None = None
) -> ChunkedImage:
    """Open a zarr array, or the multiscale of an OME-zarr group, at a path."""
    import zarr

    try:
        node = zarr.open(str(path), mode="r")
    except (MemoryError, PermissionError):
        raise
    except Exception as error:  # damaged metadata end in errors of many kinds
        msg = f"{path} is a folder but no zarr array or OME-zarr image."
        raise ValueError(msg) from error
    return from_zarr(node, where=str(path), series=series, white=white, max_pixels=max_pixels)


def from_zarr(
    node: Any,
    *,
    where: str = "the zarr group",
    series: int | str | None = None,
    white: float | None = None,
    max_pixels: float | None = None,
) -> ChunkedImage:
    """Wrap an open zarr array or OME-zarr multiscale group."""
    if hasattr(node, "shape"):
        samples = Samples(node.dtype, where=where, white=white)
        return ChunkedImage([node], axes_of_shape(tuple(node.shape)), samples, max_pixels=max_pixels)
    attrs = dict(node.attrs)
    ome = attrs.get("ome", attrs)
    multiscales = ome.get("multiscales") or attrs.get("multiscales")
    if not multiscales:
        return _of_several(node, where, series, white, max_pixels)
    scale = _choose(multiscales, where, series)
    try:
        arrays = [node[dataset["path"]] for dataset in scale["datasets"]]
    except KeyError as error:
        msg = f"{where} names a level {error} that is not there: the image was not copied as a whole. Fetch it again."
        raise ValueError(msg) from error
    axes, dropped = _ome_axes(scale, tuple(arrays[0].shape), where)
    arrays = [Squeezed(array, dropped) for array in arrays] if dropped else arrays
    channels = (ome.get("omero") or attrs.get("omero") or {}).get("channels") or []
    samples = Samples(arrays[0].dtype, where=where, white=white or _white(channels, arrays[0].dtype))
    if "c" in axes and len(channels) == arrays[0].shape[axes.index("c")]:
        order = channel_order([channel.get("label", "") for channel in channels], where)
        samples.order = order or channel_order([channel.get("color", "") for channel in channels], where)
    return ChunkedImage(arrays, axes, samples, max_pixels=max_pixels)


def _of_several(
    node: Any, where: str, series: int | str | None, white: float | None, max_pixels: float | None
) -> ChunkedImage:
    """Open one image of a group that holds several, as bioformats2raw writes them."""
    images = sorted(
        name for name, child in node.groups() if {"multiscales", "ome"} & set(dict(child.attrs)) and name != "OME"
    )
    if series is not None and str(series) in images:
        return from_zarr(node[str(series)], where=f"{where}/{series}", white=white, max_pixels=max_pixels)
    if series is None and len(images) == 1:
        return from_zarr(node[images[0]], where=f"{where}/{images[0]}", white=white, max_pixels=max_pixels)
    names = ", ".join(sorted(node.group_keys())) or "none"
    msg = (
        f"{where} is a zarr group without `multiscales`, hence no OME-zarr image (groups inside: {names}). Pass the "
        "folder of one image; for a SpatialData store read it with `spatialdata.read_zarr` and pass the object."
    )
    raise ValueError(msg)


def _choose(multiscales: list[dict[str, Any]], where: str, series: int | str | None) -> dict[str, Any]:
    if series is None:
        return multiscales[0]
    fitting = [scale for index, scale in enumerate(multiscales) if series in (index, scale.get("name"))]
    if len(fitting) != 1:
        names = ", ".join(f"{index} {scale.get('name', '')!r}" for index, scale in enumerate(multiscales))
        msg = f"{where} has no image `series={series!r}`; it holds {names}."
        raise ValueError(msg)
    return fitting[0]


def _white(channels: list[dict[str, Any]], dtype: Any) -> float | None:
    """Value of white by the window of the channels, whose largest value some writers set to that of the data."""
    ends: list[Any] = [(channel.get("window") or {}).get("max") for channel in channels]
    sixteen = dtype.kind == "u" and dtype.itemsize == 2
    if not sixteen or not ends or not all(isinstance(end, (int, float)) and end > 0 for end in ends):
        return None
    return full_scale(max(ends))


def _ome_axes(scale: dict[str, Any], shape: tuple[int, ...], where: str) -> tuple[str, tuple[int, ...]]:
    """Return the axis order without the axes of length one, and which those are."""
    names = [a["name"] if isinstance(a, dict) else a for a in scale.get("axes", [])]
    if not names:
        return axes_of_shape(shape), ()
    dropped = tuple(i for i, name in enumerate(names) if name not in ("y", "x", "c") and shape[i] == 1)
    axes = "".join(name for i, name in enumerate(names) if i not in dropped)
    sizes = [size for i, size in enumerate(shape) if i not in dropped]
    if axes not in ("yx", "cyx", "yxc") or ("c" in axes and sizes[axes.index("c")] not in CHANNELS):
        msg = f"{where} has axes {names} of sizes {shape}, which is no grey, RGB or RGBA image (c, y, x)."
        raise ValueError(msg)
    return axes, dropped
