"""zarr arrays and OME-zarr multiscale folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ._chunked import ChunkedImage
from ._pixels import CHANNELS, axes_of_shape


def open_zarr(path: Path) -> ChunkedImage:
    """Open a zarr array, or the first multiscale of an OME-zarr group, at a path."""
    import zarr
    from zarr.errors import GroupNotFoundError, NodeTypeValidationError

    try:
        node = zarr.open(str(path), mode="r")
    except (FileNotFoundError, GroupNotFoundError, NodeTypeValidationError, ValueError) as error:
        msg = f"{path} is a folder but no zarr array or OME-zarr image."
        raise ValueError(msg) from error
    return from_zarr(node, where=str(path))


def from_zarr(node: Any, *, where: str = "the zarr group") -> ChunkedImage:
    """Wrap an open zarr array or OME-zarr multiscale group."""
    if hasattr(node, "shape"):
        return ChunkedImage([node], axes_of_shape(tuple(node.shape)))
    attrs = dict(node.attrs)
    multiscales = attrs.get("ome", attrs).get("multiscales") or attrs.get("multiscales")
    if not multiscales:
        names = ", ".join(sorted(node.group_keys())) or "none"
        msg = (
            f"{where} is a zarr group without `multiscales`, hence no OME-zarr image (groups inside: {names}). Pass the "
            "folder of one image; for a SpatialData store read it with `spatialdata.read_zarr` and pass the object."
        )
        raise ValueError(msg)
    scale = multiscales[0]
    arrays = [node[dataset["path"]] for dataset in scale["datasets"]]
    return ChunkedImage(arrays, _ome_axes(scale, tuple(arrays[0].shape), where))


def _ome_axes(scale: dict[str, Any], shape: tuple[int, ...], where: str) -> str:
    names = [a["name"] if isinstance(a, dict) else a for a in scale.get("axes", [])]
    if not names:
        return axes_of_shape(shape)
    axes = "".join(names)
    if axes not in ("yx", "cyx", "yxc") or ("c" in axes and shape[axes.index("c")] not in CHANNELS):
        msg = f"{where} has axes {names} of sizes {shape}, which is no grey, RGB or RGBA image (c, y, x)."
        raise ValueError(msg)
    return axes
