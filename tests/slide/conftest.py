"""A SpatialData of two slides."""

from __future__ import annotations

import numpy as np
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
