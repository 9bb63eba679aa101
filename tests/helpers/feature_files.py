"""Small files of features in the layouts of the software that writes them."""

from __future__ import annotations

import numpy as np
import pandas as pd


def trident(path, corners, features, *, side=256, magnification=20, level0=40, encoder="uni_v1"):
    """As `WSI.extract_patch_features` of TRIDENT saves them."""
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        values = file.create_dataset("features", data=features.astype(np.float32))
        values.attrs["name"], values.attrs["savetodir"] = path.stem, str(path.parent)
        if encoder:
            values.attrs["encoder"] = encoder
        coordinates = file.create_dataset("coords", data=corners.astype(np.int64))
        coordinates.attrs.update(
            {
                "patch_size": side,
                "patch_size_level0": side * level0 // magnification,
                "level0_magnification": level0,
                "target_magnification": magnification,
                "overlap": 0,
                "name": path.stem,
                "savetodir": str(path.parent),
            }
        )
    return path


def hest(path, barcodes, corners, embeddings):
    """As `embed_tiles` of HEST's benchmark saves them: arrays that grow, barcodes as a column of bytes."""
    import h5py

    with h5py.File(path, "w") as file:
        width = max(map(len, barcodes))
        for key, value in (
            ("embeddings", embeddings.astype(np.float32)),
            ("barcodes", np.array(barcodes, dtype=f"S{width}")[:, None]),
            ("coords", corners.astype(np.int64)),
        ):
            file.create_dataset(key, data=value, chunks=True, maxshape=(None, *value.shape[1:]))
    return path


def lazyslide(path, corners, features, *, side, mpp, tables=("uni_tiles",)):
    """As `wsidata` writes them: boxes in `shapes/tiles`, one table of features a model, `tile_spec` in the attributes."""
    import geopandas as gpd
    from anndata import AnnData
    from shapely import box
    from spatialdata import SpatialData
    from spatialdata.models import ShapesModel, TableModel

    ids = np.arange(len(corners))
    boxes = [box(x, y, x + side, y + side) for x, y in corners]
    columns = {"tile_id": ids, "x": corners[:, 0], "y": corners[:, 1], "tissue_id": 0, "geometry": boxes}
    shapes = ShapesModel.parse(gpd.GeoDataFrame(columns))
    obs = pd.DataFrame({"tile_id": ids, "library_id": pd.Categorical(["tiles"] * len(ids))}, index=ids.astype(str))
    parsed = {
        name: TableModel.parse(
            AnnData(X=features.astype(np.float32), obs=obs.copy()),
            region="tiles",
            region_key="library_id",
            instance_key="tile_id",
        )
        for name in tables
    }
    specification = {"height": side, "width": side, "stride_height": side, "stride_width": side, "mpp": mpp}
    attributes = {"tile_spec": {"tiles": specification}}
    SpatialData(shapes={"tiles": shapes}, tables=parsed, attrs=attributes).write(path)
    return path
