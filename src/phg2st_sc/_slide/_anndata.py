"""Slides of an AnnData."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from .._warn import warn_user
from ._lattice import Scale, measure
from ._model import THUMBNAILS, Slide, pick_image
from ._numbers import numbers
from ._record import check_table, find_patient, find_record, measured_places, slide_name, split_rows, spot_diameter

if TYPE_CHECKING:
    from anndata import AnnData

_COLUMNS = (("x", "y"), ("pxl_col_in_fullres", "pxl_row_in_fullres"))
"""Names that tell which column is x."""


def anndata_slides(adata: AnnData, *, slide_key: str | None, image: Any, said: Scale, patient_key: str) -> list[Slide]:
    """One slide for each value of ``slide_key``, else for each library."""
    check_table(adata)
    centers = spot_centers(adata)
    groups = split_rows(adata, slide_key)
    return [_slide(adata, centers, name, rows, image, said, patient_key) for name, rows in groups.items()]


def spot_centers(adata: AnnData) -> NDArray[np.float64]:
    """(n_obs, 2) spot centres (x, y) as they are stored, whatever in.

    Raises
    ------
    KeyError
        If there are none.
    TypeError, ValueError
        If they are no numbers, or not two for each spot.
    """
    if _keys.SPATIAL not in adata.obsm:
        msg = (
            f"No spot coordinates: obsm[{_keys.SPATIAL!r}] is missing. Store the spot centres there, (n_obs, 2) as (x, y) "
            "in pixels of the full-resolution image."
        )
        raise KeyError(msg)
    where = f"obsm[{_keys.SPATIAL!r}]"
    values = adata.obsm[_keys.SPATIAL]
    if isinstance(values, pd.DataFrame):
        values = _x_first(values, where)
    centers = numbers(values, where, names=adata.obs_names).astype(np.float64)
    if centers.shape[1] != 2:
        msg = f"{where} must be (n_obs, 2), spot centres (x, y); it is {centers.shape}."
        raise ValueError(msg)
    return centers


def _x_first(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Columns that are named x and y, or as Space Ranger names them, in that order."""
    for names in _COLUMNS:
        if set(frame.columns) == set(names) and tuple(frame.columns) != names:
            warn_user(
                f"{where} has its columns in the order {quoted(frame.columns)}: read by their names, as {quoted(names)}."
            )
            return frame[list(names)]
    return frame


def _slide(
    adata: AnnData,
    centers: NDArray[np.float64],
    name: str | None,
    rows: NDArray[np.int64],
    image: Any,
    said: Scale,
    patient_key: str,
) -> Slide:
    library, record = find_record(adata, rows, name)
    name = slide_name(adata, rows, library) if name is None else name
    source, thumbnail, scale = _image_source(record, None if image is None else pick_image(image, name), name)
    positions = centers[rows] * scale
    diameter = spot_diameter(record)
    in_pixels = replace(said, mpp=None if said.mpp is None else said.mpp / scale)
    places = measured_places(adata, rows, positions)
    pitch, size = measure(in_pixels, record, places, unit_px=scale, pixel_scale=scale, name=name)
    return Slide(
        name=name,
        table=adata,
        rows=rows,
        positions=positions,
        spot_diameter_px=None if diameter is None else diameter * scale,
        patient=find_patient(adata, rows, record, patient_key),
        pitch_px=pitch.px,
        pitch_source=pitch.source,
        unit_px=scale,
        mpp=size.mpp,
        mpp_source=size.source,
        mpp_doubt=size.doubt,
        image_source=source,
        image_key=thumbnail,
        record=record,
        folders=() if adata.filename is None else (Path(adata.filename).parent,),
    )


def _image_source(record: Mapping[str, Any], image: Any, name: str) -> tuple[Any, str | None, float]:
    """(what to open, thumbnail key, its pixels per full-resolution pixel)."""
    if isinstance(image, str) and image in THUMBNAILS:
        return _thumbnail(record, image, name)
    if isinstance(image, str):
        _refuse_other_names(record, image, name)
    if image is None:
        image = (record.get(_keys.METADATA) or {}).get(_keys.SOURCE_IMAGE) or None
    if image is None and _is_full_resolution(record):
        return _thumbnail(record, _keys.HIRES, name)
    return image, None, 1.0


def _refuse_other_names(record: Mapping[str, Any], image: str, name: str) -> None:
    """Tell a mistyped or other image of the record from a path."""
    stored = list(record.get(_keys.IMAGES) or {})
    if image not in stored and (Path(image).suffix or len(Path(image).parts) > 1 or Path(image).exists() or not stored):
        return
    msg = (
        f"Slide {name!r}: `image={image!r}` is no file, and none of the thumbnails that can be used ("
        f"{quoted(key for key in THUMBNAILS if key in stored) or 'none'}; the record holds {quoted(stored)}). Pass one of "
        "them, or the path of the full-resolution image."
    )
    raise KeyError(msg)


def _is_full_resolution(record: Mapping[str, Any]) -> bool:
    """Whether the stored "thumbnail" is the image itself, as small images are kept."""
    stored = _keys.HIRES in (record.get(_keys.IMAGES) or {})
    return stored and float((record.get(_keys.SCALEFACTORS) or {}).get(_keys.HIRES_SCALEF, 0.0)) == 1.0


def _thumbnail(record: Mapping[str, Any], key: str, name: str) -> tuple[Any, str, float]:
    pixels = (record.get(_keys.IMAGES) or {}).get(key)
    factor = (record.get(_keys.SCALEFACTORS) or {}).get(_keys.scalef(key))
    if pixels is None or factor is None:
        msg = (
            f"Slide {name!r}: `image={key!r}` needs uns['spatial'][library]['images'][{key!r}] and "
            f"['scalefactors'][{_keys.scalef(key)!r}]. Pass the path of the full-resolution image instead."
        )
        raise KeyError(msg)
    return np.asarray(pixels), key, float(factor)
