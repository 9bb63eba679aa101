"""Where a simulated picture goes: a TIFF file beside an AnnData, or an element of a SpatialData."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .. import _keys
from .._files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from numpy.typing import NDArray
    from spatialdata import SpatialData

REGION, INSTANCE = "region", "instance_id"
_CHUNK = 512


def write_picture(path: Path, picture: NDArray[np.uint8], *, mpp: float) -> Path:
    """Write a tiled, compressed TIFF that records its resolution."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    per_cm = 1e4 / mpp
    settings = {
        "photometric": "rgb",
        "tile": (256, 256),
        "compression": "deflate",
        "resolution": (per_cm, per_cm),
        "resolutionunit": "CENTIMETER",
    }
    write_whole(path, lambda part: tifffile.imwrite(part, picture, **settings))
    return path


def to_spatialdata(
    table: AnnData, picture: NDArray[np.uint8] | None, *, name: str, mpp: float, multiscale: bool
) -> SpatialData:
    """Circles, their table and the picture, in pixels (``global``) and µm (``um``)."""
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel
    from spatialdata.transformations import Identity, Scale

    transforms = {"global": Identity(), "um": Scale([mpp, mpp], axes=("x", "y"))}
    region = f"{name}_spots"
    diameter = table.uns[_keys.SPATIAL][name][_keys.SCALEFACTORS][_keys.SPOT_DIAMETER]
    shapes = ShapesModel.parse(
        np.asarray(table.obsm[_keys.SPATIAL]),
        geometry=0,
        radius=diameter / 2,
        index=np.arange(table.n_obs),
        transformations=dict(transforms),
    )
    table.obs[REGION] = pd.Categorical([region] * table.n_obs)
    table.obs[INSTANCE] = np.arange(table.n_obs)
    table = TableModel.parse(table, region=region, region_key=REGION, instance_key=INSTANCE)
    images = {}
    if picture is not None:
        images[f"{name}_image"] = Image2DModel.parse(
            np.moveaxis(picture, 2, 0),
            dims=("c", "y", "x"),
            c_coords=["r", "g", "b"],
            scale_factors=[2, 2] if multiscale else None,
            chunks=(3, _CHUNK, _CHUNK),
            transformations=dict(transforms),
        )
    return SpatialData(images=images, shapes={region: shapes}, tables={"table": table})
