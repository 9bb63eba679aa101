"""Open the slides of whatever the user holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import _keys
from ._anndata import anndata_slides
from ._lattice import Scale
from ._model import Slide, is_by_slide
from ._pictures import settle_pictures
from ._places import check_places
from ._record import DEFAULT_NAME, check_finished

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData


def is_spatialdata(data: Any) -> bool:
    """Whether ``data`` is a SpatialData, without importing the package for those who do not use it."""
    import sys

    module = sys.modules.get("spatialdata")
    return module is not None and isinstance(data, module.SpatialData)


def spots_table(data: AnnData | SpatialData, table_key: str | None = None) -> AnnData:
    """Return the table that annotates the spots; ``data`` itself where it is an AnnData.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError, ValueError
        If a SpatialData has no such table, or several and none is named.
    ValueError
        If the table was half written when it was read.
    """
    from anndata import AnnData

    if isinstance(data, AnnData):
        check_finished(data)
        return data
    if is_spatialdata(data):
        from ._spatialdata import find_table

        table = find_table(data, table_key)
        check_finished(table)
        return table
    msg = f"Expected an AnnData or SpatialData, got {type(data).__module__}.{type(data).__name__}."
    raise TypeError(msg)


def open_slides(
    data: AnnData | SpatialData,
    *,
    slide_key: str | None = None,
    image: Any = None,
    mpp: float | None = None,
    pitch_um: float | None = None,
    platform: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    kept_pitch: Mapping[str, float] | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    patient_key: str = _keys.PATIENT,
) -> list[Slide]:
    """Open every slide of an object. No pixel and no expression is read.

    Parameters
    ----------
    data
        AnnData with ``obsm["spatial"]``, or SpatialData with a table that annotates shapes or points.
    slide_key
        Column of ``obs`` that tells slides apart. A SpatialData is divided by region in any case; an AnnData also by
        ``library_id`` or ``section`` where those name its records in ``uns["spatial"]``.
    image
        A path, array or element for the one slide, or a mapping by slide name. ``"hires"`` / ``"lowres"`` take the
        thumbnail of an AnnData and scale the positions. For a SpatialData the name of an image element picks it;
        positions are then in its pixels. A path or array beside a SpatialData must be in the pixels of the
        coordinate system.
    mpp
        µm per pixel: full-resolution pixel of an AnnData, pixel of the image element of a SpatialData.
    pitch_um
        Distance of neighbouring spots in µm.
    platform
        Platform with a known pitch.
    pitch
        Distance of neighbouring spots in the unit of the spot centres, for all slides or by slide name.
    kept_pitch
        The same by :func:`phg2st_sc._keys.slide_entry`, from an earlier call; what this call says comes first.
    table_key
        Table of a SpatialData, where several annotate spots.
    coordinate_system
        Coordinate system of a SpatialData by which spots and image are aligned, where several disagree.
    patient_key
        Column of ``obs`` with the patient.

    Returns
    -------
    list of Slide
        In order of first appearance.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If there are no spot coordinates, or ``slide_key`` or ``table_key`` does not exist.
    ValueError
        If ``data`` is a view, ids occur twice, what belongs together is ambiguous, or spots share their places although
        no ``slide_key`` was given.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> adata = anndata.AnnData(np.ones((3, 2), dtype="float32"))
    >>> adata.obsm["spatial"] = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    >>> slide, = open_slides(adata, platform="Visium")
    >>> slide.pitch_px, slide.mpp, slide.mpp_source
    (50.0, 2.0, 'platform')
    """
    said = Scale(mpp, pitch_um, platform, pitch, kept_pitch or {})
    table = spots_table(data, table_key)
    if table is data:
        if table_key is not None or coordinate_system is not None:
            msg = "`table_key=` and `coordinate_system=` are for a SpatialData, but `data` is an AnnData."
            raise ValueError(msg)
        slides = anndata_slides(data, slide_key=slide_key, image=image, said=said, patient_key=patient_key)
    else:
        from ._spatialdata import spatialdata_slides

        slides = spatialdata_slides(
            data,
            table,
            slide_key=slide_key,
            image=image,
            said=said,
            coordinate_system=coordinate_system,
            patient_key=patient_key,
        )
    for slide in slides:
        check_places(slide, slide_key)
    return settle_pictures(slides, said, given_by_slide=is_by_slide(image), patient_key=patient_key)


def open_cohort(
    adatas: Any,
    *,
    slide_key: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    **settings: Any,
) -> list[Slide]:
    """Open the slides of one object, of a list of them, or of a dict of them by name.

    Parameters
    ----------
    adatas
        AnnData or SpatialData, a list or tuple of them, or a dict whose keys name the slides.
    slide_key
        As in :func:`open_slides`.
    pitch
        As there; by the names that slides have here, where objects come in a dict.
    **settings
        Passed to :func:`open_slides`.

    Returns
    -------
    list of Slide
        With distinct names. An object in a dict that holds several slides names them ``key/slide``.

    Raises
    ------
    ValueError
        If there is no object, or one of them occurs twice.
    """
    named = list(adatas.items()) if isinstance(adatas, Mapping) else None
    objects = [item for _, item in named] if named is not None else _as_list(adatas)
    if not objects:
        raise ValueError("No data: `adatas` is empty.")
    if len({id(item) for item in objects}) < len(objects):
        raise ValueError("The same object occurs more than once in `adatas`.")
    slides: list[Slide] = []
    for position, item in enumerate(objects):
        key = "" if named is None else str(named[position][0])
        opened = open_slides(item, slide_key=slide_key, pitch=_within(pitch, key), **settings)
        if named is not None:
            opened = _rename(opened, key)
        slides.extend(opened)
    return _distinct(slides)


def _within(pitch: float | Mapping[str, float] | None, key: str) -> float | Mapping[str, float] | None:
    """What ``pitch`` says of the object of this key, by the names that its slides have on their own."""
    if not isinstance(pitch, Mapping) or not key:
        return pitch
    return pitch[key] if key in pitch else {name.removeprefix(f"{key}/"): value for name, value in pitch.items()}


def _as_list(adatas: Any) -> list[Any]:
    return list(adatas) if isinstance(adatas, (list, tuple)) else [adatas]


def _rename(slides: list[Slide], key: str) -> list[Slide]:
    if len(slides) == 1:
        return [replace(slides[0], name=key)]
    return [replace(slide, name=f"{key}/{slide.name}") for slide in slides]


def _distinct(slides: list[Slide]) -> list[Slide]:
    """Number the slides that share a name."""
    counts = Counter(slide.name for slide in slides)
    seen: Counter[str] = Counter()
    out = []
    for slide in slides:
        if counts[slide.name] > 1:
            seen[slide.name] += 1
            separator = "" if slide.name == DEFAULT_NAME else "-"
            slide = replace(slide, name=f"{slide.name}{separator}{seen[slide.name]}")
        out.append(slide)
    return out
