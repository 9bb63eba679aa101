"""Small SpatialData with traps: shuffled table, regions whose names contain one another."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from spatialdata.models import Image2DModel, ShapesModel, TableModel
from spatialdata.transformations import Identity


def square(n, pitch, start):
    x, y = np.meshgrid(np.arange(n), np.arange(n))
    return np.column_stack([x.ravel(), y.ravel()]) * pitch + start


def circles(points, ids, radius=3.0, transformations=None):
    return ShapesModel.parse(
        points, geometry=0, radius=radius, index=ids, transformations=transformations or {"global": Identity()}
    )


def picture(height, width, transformations=None, scale_factors=None):
    pixels = np.random.default_rng(0).integers(0, 255, (3, height, width)).astype(np.uint8)
    return Image2DModel.parse(
        pixels,
        dims=("c", "y", "x"),
        scale_factors=scale_factors,
        transformations=transformations or {"global": Identity()},
    )


def annotating(regions, *, seed=0, n_genes=4):
    """Table over {region: instance ids}, rows shuffled across regions."""
    rows = pd.DataFrame(
        [(region, i) for region, ids in regions.items() for i in ids], columns=["region", "instance_id"]
    )
    rows = rows.sample(frac=1.0, random_state=seed)
    rows.index = [f"{region}:{i}" for region, i in zip(rows["region"], rows["instance_id"], strict=True)]
    rows["region"] = rows["region"].astype("category")
    counts = np.random.default_rng(seed).poisson(3.0, (len(rows), n_genes)).astype(np.float32)
    table = AnnData(counts, obs=rows, var=pd.DataFrame(index=[f"g{i}" for i in range(n_genes)]))
    return TableModel.parse(table, region=list(regions), region_key="region", instance_key="instance_id")
