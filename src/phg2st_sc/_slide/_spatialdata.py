"""Slides of a SpatialData: one for each region that a table annotates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from ._align import Alignment, Asked, align
from ._instances import find_instances
from ._lattice import Scale, measure
from ._model import Slide, find_file, pick_image
from ._record import check_table, find_patient, find_record, measured_places, split_rows, spot_diameter

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


@dataclass(frozen=True)
class _Opening:
    slide_key: str | None
    image: Any
    said: Scale
    coordinate_system: str | None
    patient_key: str
    regions: tuple[str, ...]


@dataclass(frozen=True)
class _Spots:
    """Spots of one region in the order of the table's rows, in the element's own units."""

    centers: NDArray[np.float64]
    diameter: float | None


def spatialdata_slides(
    sdata: SpatialData,
    annotating: AnnData,
    *,
    slide_key: str | None,
    image: Any,
    said: Scale,
    coordinate_system: str | None,
    patient_key: str,
) -> list[Slide]:
    """One slide for each annotated region, divided further by ``slide_key`` where given."""
    check_table(annotating)
    region_key, instance_key = _attrs(annotating)
    # compared as whole names: `spots` must not also take the rows of `spots_1`
    column = annotating.obs[region_key].astype(str).to_numpy(dtype=object)
    regions = tuple(str(region) for region in pd.unique(column))
    call = _Opening(slide_key, image, said, coordinate_system, patient_key, regions)
    slides: list[Slide] = []
    several = len(regions) > 1
    for region in regions:
        rows = np.flatnonzero(column == region).astype(np.int64)
        slides.extend(_region_slides(sdata, annotating, region, rows, instance_key, call, several=several))
    return slides


def find_table(sdata: SpatialData, name: str | None) -> AnnData:
    """Return the table that annotates the spots."""
    if name is not None:
        if name not in sdata.tables:
            msg = f"No table {name!r}; there are {quoted(sdata.tables)}."
            raise KeyError(msg)
        table = sdata.tables[name]
        if not _annotates(table):
            msg = f"Table {name!r} annotates no region; set it with `sdata.set_table_annotates_spatialelement`."
            raise ValueError(msg)
        return table
    names = [key for key, table in sdata.tables.items() if _annotates(table) and _keys.DERIVED_TABLE not in table.uns]
    spots = {*sdata.shapes, *sdata.points}
    fitting = [key for key in names if set(sdata.tables[key].obs[_attrs(sdata.tables[key])[0]].astype(str)) & spots]
    names = fitting or names
    if not names:
        raise KeyError("No spot coordinates: the SpatialData has no table that annotates shapes or points.")
    if len(names) > 1:
        msg = f"{len(names)} tables annotate spots ({quoted(names)}): choose one with `table_key=`."
        raise ValueError(msg)
    return sdata.tables[names[0]]


def _annotates(table: AnnData) -> bool:
    attrs = table.uns.get(_keys.SPATIALDATA_ATTRS) or {}
    return attrs.get("region_key") is not None and attrs.get("instance_key") is not None


def _attrs(table: AnnData) -> tuple[str, str]:
    attrs = table.uns[_keys.SPATIALDATA_ATTRS]
    return str(attrs["region_key"]), str(attrs["instance_key"])


def _region_slides(
    sdata: SpatialData,
    table: AnnData,
    region: str,
    rows: NDArray[np.int64],
    instance_key: str,
    call: _Opening,
    *,
    several: bool,
) -> list[Slide]:
    spots = _spots(sdata, region, table.obs[instance_key].iloc[rows])
    groups = split_rows(table, call.slide_key, rows) if call.slide_key is not None else {None: rows}
    slides = []
    for value, part in groups.items():
        name = region if value is None else value
        if value is not None and several and call.slide_key not in (None, _attrs(table)[0]):
            name = f"{region}/{value}"
        inside = np.searchsorted(rows, part)
        slides.append(_slide(sdata, table, region, name, part, _Spots(spots.centers[inside], spots.diameter), call))
    return slides


def _slide(
    sdata: SpatialData, table: AnnData, region: str, name: str, rows: NDArray[np.int64], spots: _Spots, call: _Opening
) -> Slide:
    image = None if call.image is None else pick_image(call.image, name)
    asked = Asked(region, call.regions, image, call.coordinate_system)
    alignment = align(sdata, _element(sdata, region), spots.centers, asked)
    _, record = _record(table, rows, name, region)
    positions = alignment.transform(spots.centers)
    diameter = spots.diameter if spots.diameter is not None else spot_diameter(record)
    unit_px, places = alignment.scale, measured_places(table, rows, positions)
    pitch, size = measure(call.said, record, places, unit_px=unit_px, pixel_scale=unit_px, name=name)
    folders = () if sdata.path is None else (Path(sdata.path).parent,)
    fallback = _fallback_image(alignment, record, folders)
    return Slide(
        name=name,
        table=table,
        rows=rows,
        positions=positions,
        spot_diameter_px=None if diameter is None else diameter * unit_px,
        patient=find_patient(table, rows, record, call.patient_key),
        pitch_px=pitch.px,
        pitch_source=pitch.source,
        unit_px=unit_px,
        mpp=size.mpp,
        mpp_source=size.source,
        mpp_doubt=size.doubt,
        image_source=alignment.source if fallback is None else fallback,
        image_key=alignment.image,
        image_problem=alignment.problem,
        image_ambiguous=alignment.ambiguous,
        image_doubt=alignment.doubt,
        record=record,
        other_images=tuple(key for key in sdata.images if key != alignment.image),
        folders=folders,
    )


def _record(table: AnnData, rows: NDArray[np.int64], name: str, region: str) -> tuple[str | None, Mapping[str, Any]]:
    for key in (name, region):
        library, record = find_record(table, rows, key)
        if library is not None:
            return library, record
    return find_record(table, rows, None)


def _fallback_image(alignment: Alignment, record: Mapping[str, Any], folders: tuple[Path, ...]) -> Path | None:
    """File that the record names, where there is no image element and spots are in full-resolution pixels."""
    path = (record.get(_keys.METADATA) or {}).get(_keys.SOURCE_IMAGE)
    if alignment.source is not None or not alignment.is_identity or alignment.ambiguous or not path:
        return None
    return find_file(str(path), folders)


def _element(sdata: SpatialData, region: str) -> Any:
    for place in (sdata.shapes, sdata.points):
        if region in place:
            return place[region]
    if region in sdata.labels:
        msg = f"Region {region!r} is a labels element; add circles with `spatialdata.to_circles` and annotate those."
        raise ValueError(msg)
    msg = f"The table annotates region {region!r}, which is not in the SpatialData (shapes: {quoted(sdata.shapes)})."
    raise KeyError(msg)


def _spots(sdata: SpatialData, region: str, instances: pd.Series) -> _Spots:
    """Centres and diameter of the spots that the rows name, matched by instance."""
    frame, diameters = _centroids(_element(sdata, region))
    if not frame.index.is_unique:
        msg = f"Region {region!r}: instance ids occur more than once, e.g. {quoted(frame.index[frame.index.duplicated()])}."
        raise ValueError(msg)
    if instances.duplicated().any():
        twice = instances[instances.duplicated()]
        msg = f"{len(twice)} rows of the table name an instance of region {region!r} that another row names: {quoted(twice)}."
        raise ValueError(msg)
    where = find_instances(frame.index, instances)
    missing = instances[where < 0]
    if len(missing):
        msg = (
            f"{len(missing)} of {len(instances)} rows of the table name instances that region {region!r} lacks: "
            f"{quoted(missing)}; the region has {quoted(frame.index)}."
        )
        raise ValueError(msg)
    diameter = None if diameters is None else float(np.median(diameters[where]))
    return _Spots(frame.to_numpy(dtype=np.float64)[where], diameter)


def _centroids(element: Any) -> tuple[pd.DataFrame, NDArray[np.float64] | None]:
    """(x, y) by instance and diameters, of circles, polygons (bins, cells) or points, in the element's own units."""
    if not hasattr(element, "geometry"):
        points = element[["x", "y"]]
        return (points.compute() if hasattr(points, "compute") else points), None
    geometry = element.geometry
    if "radius" in element:
        return _xy(geometry, element.index), 2.0 * element["radius"].to_numpy(dtype=np.float64)
    # the diameter of a circle of the same area
    return _xy(geometry.centroid, element.index), 2.0 * np.sqrt(geometry.area.to_numpy(dtype=np.float64) / np.pi)


def _xy(points: Any, index: pd.Index) -> pd.DataFrame:
    return pd.DataFrame({"x": points.x.to_numpy(), "y": points.y.to_numpy()}, index=index)
