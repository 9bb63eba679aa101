"""A SpatialData of two slides, in memory and in a store."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import spatial_elements as make
from spatialdata import SpatialData
from spatialdata.transformations import Identity


@pytest.fixture
def sdata():
    """Regions `spots` (pitch 10) and `spots_1` (pitch 20) in images of their own, on one table."""
    ids = np.arange(100, 125)
    first, second = make.square(5, 10.0, 20.0), make.square(5, 20.0, 15.0)
    return SpatialData(
        images={
            "he": make.picture(80, 90, {"one": Identity()}),
            "he_1": make.picture(120, 130, {"two": Identity()}, scale_factors=[2]),
        },
        shapes={
            "spots": make.circles(first, ids, transformations={"one": Identity()}),
            "spots_1": make.circles(second, ids, transformations={"two": Identity()}),
        },
        tables={"table": make.annotating({"spots": ids, "spots_1": ids})},
    )


@pytest.fixture
def stored(sdata, tmp_path):
    table = sdata["table"]
    table.layers["mine"], table.obsm["mine"] = table.X * 2, np.ones((50, 2))
    table.obs["mine"] = pd.Categorical(["u"] * 50)
    table.uns["mine"] = {"a": np.arange(3)}
    sdata.write(tmp_path / "s.zarr")
    return SpatialData.read(tmp_path / "s.zarr")
