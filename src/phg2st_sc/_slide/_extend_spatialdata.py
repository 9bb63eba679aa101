"""Append places without a spot to the table and the circles of a SpatialData, in a new SpatialData."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._extend_table import Added, back_to, extend_table
from ._instances import find_instances, new_instances
from ._spatialdata import _attrs, _centroids, _element

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


def extend_spatialdata(
    sdata: SpatialData, added: list[Added], *, slide_key: str | None, record: Mapping[str, Any]
) -> SpatialData:
    """Return a new SpatialData that shares every element but the table and the shapes that it annotates.

    Raises
    ------
    ValueError
        If the spots are no circles.
    """
    from spatialdata import SpatialData

    table = added[0].slide.table
    name = next(key for key, one in sdata.tables.items() if one is table)
    region_key, instance_key = _attrs(table)
    shapes = dict(sdata.shapes)
    regions: list[str] = []
    instances: list[Any] = []
    for one in added:
        region = str(table.obs[region_key].iloc[one.slide.rows[0]])
        shapes[region], new = _with_circles(sdata, shapes.get(region), region, one, instance_key)
        regions += [region] * len(new)
        instances += list(new)
    obs = {region_key: regions, instance_key: instances}
    longer: AnnData = extend_table(table, added, slide_key=slide_key, obs=obs, record=record)
    return SpatialData(
        images=dict(sdata.images),
        labels=dict(sdata.labels),
        points=dict(sdata.points),
        shapes=shapes,
        tables={**sdata.tables, name: longer},
        attrs=dict(sdata.attrs),
    )


def _with_circles(
    sdata: SpatialData, element: Any, region: str, one: Added, instance_key: str
) -> tuple[Any, NDArray[Any]]:
    """Circles of a region with the new places at the end, and the ids of these in the table."""
    import geopandas as gpd
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import get_transformation

    if element is None or "radius" not in element:
        _element(sdata, region)  # raises where the region does not exist at all
        msg = (
            f"The spots of region {region!r} are no circles, which targets can be added to: make them so with "
            "`spatialdata.to_circles`."
        )
        raise ValueError(msg)
    instances = one.slide.table.obs[instance_key].iloc[one.slide.rows]
    own = element.iloc[find_instances(element.index, instances)]
    centers, _ = _centroids(own)
    places = back_to(one.slide, centers.to_numpy(dtype=np.float64), one.places)
    index, named = new_instances(element.index, instances, len(places))
    circles = gpd.GeoDataFrame(
        {"radius": np.full(len(places), float(np.median(own["radius"])))},
        geometry=gpd.points_from_xy(*places.T),
        index=index,
    )
    joined = pd.concat([gpd.GeoDataFrame(element), circles])
    joined.index.name = element.index.name
    joined.attrs = {}
    transformations = get_transformation(element, get_all=True)
    return ShapesModel.parse(joined, transformations=dict(transformations)), np.asarray(named)
