"""Read an object from the file or folder that it was saved to, whichever kind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import _keys

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

StoreKind = Literal["anndata", "spatialdata"]
H5AD, ZARR = ".h5ad", ".zarr"


def kind_of_store(path: Path) -> StoreKind:
    """Whether an AnnData or a SpatialData was saved there; nothing of it is read.

    Raises
    ------
    ValueError
        If it is neither a ``.h5ad`` file nor the zarr folder of an AnnData or a SpatialData.
    """
    if path.is_file() and path.suffix == H5AD:
        return "anndata"
    attributes = _attributes(path) if path.is_dir() else {}
    if _keys.SPATIALDATA_ATTRS in attributes:
        return "spatialdata"
    if attributes.get("encoding-type") == "anndata":
        return "anndata"
    msg = f"{path} is neither an .h5ad file nor the .zarr folder of an AnnData or a SpatialData."
    raise ValueError(msg)


def read_store(path: Path) -> AnnData | SpatialData:
    """The object that was saved to a ``.h5ad`` file or a zarr folder."""
    if kind_of_store(path) == "spatialdata":
        from spatialdata import read_zarr

        return read_zarr(path)
    import anndata

    return anndata.read_h5ad(path) if path.is_file() else anndata.read_zarr(path)


def _attributes(folder: Path) -> dict[str, object]:
    import zarr

    try:
        return dict(zarr.open_group(folder, mode="r").attrs)
    except (FileNotFoundError, KeyError, ValueError):
        return {}
