"""Slides that share a picture or a record: pieces beside each other can, slides that lie on each other cannot."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._spacing import spacing
from .._warn import warn_user
from ._lattice import Scale, resolve_mpp
from ._model import THUMBNAILS, Slide, find_file, in_spatialdata
from ._record import find_patient, measured_places, records

_ONE_PLACE = 0.7
"""Spots of one array are a pitch apart; nearer than this many pitches they belong to two slides."""
_FEWEST, _LEAST_SHARE = 2, 0.05
_MOST_QUERIES = 5000


class Overlap(NamedTuple):
    """Two slides, and the share of spots of the second that lie on spots of the first."""

    first: Slide
    second: Slide
    share: float


def settle_pictures(slides: list[Slide], said: Scale, *, given_by_slide: bool, patient_key: str) -> list[Slide]:
    """Take pictures and records from slides of one object that cannot all have them.

    A record in ``uns["spatial"]`` that carries the name of a slide is its own. One that was found in another way, such as
    the one that is left of several after ``anndata.concat(uns_merge="first")``, is nobody's where spots of several slides
    lie on each other.

    Parameters
    ----------
    slides
        Slides of one object.
    said
        What the caller says about the scale of the pixels.
    given_by_slide
        Whether the caller gave each slide its picture by name: that is taken at its word, with a warning.
    patient_key
        Column of ``obs`` with the patient.
    """
    for group in _groups(slides, picture_source):
        found = overlap(group, [slide.positions for slide in group])
        if found is not None and given_by_slide:
            warn_user(f"{_on_one_picture(found)} It is used for both, since `image=` says so.")
        elif found is not None:
            gone = [id(slide) for slide in group if not _is_own(slide)] or [id(slide) for slide in group]
            slides = [_without_picture(slide, found) if id(slide) in gone else slide for slide in slides]
    for group in _groups(slides, _record):
        if overlap(group, [_full_resolution(slide) for slide in group]) is not None:
            gone = [id(slide) for slide in group if not _is_own(slide)]
            slides = [_without_record(slide, said, patient_key) if id(slide) in gone else slide for slide in slides]
    return slides


def overlap(slides: Sequence[Slide], places: Sequence[NDArray[np.float64]]) -> Overlap | None:
    """The first two slides with spots on each other, given their places in pixels of one picture."""
    spots = [_spots(slide, own) for slide, own in zip(slides, places, strict=True)]
    for one, other in combinations(range(len(slides)), 2):
        share = _share_on(spots[one], spots[other])
        if share > 0.0:
            return Overlap(slides[one], slides[other], share)
    return None


def _spots(slide: Slide, places: NDArray[np.float64]) -> NDArray[np.float64]:
    measured = measured_places(slide.table, slide.rows, places)
    return measured[np.isfinite(measured).all(axis=1)]


def _share_on(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Share of the spots of the second that lie on spots of the first; 0 where they are too few to tell."""
    from scipy.spatial import cKDTree

    near = _ONE_PLACE * np.fmin(spacing(first).distance, spacing(second).distance)
    if not near > 0.0 or (first.min(axis=0) - near > second.max(axis=0)).any():
        return 0.0
    if (second.min(axis=0) - near > first.max(axis=0)).any():
        return 0.0
    take = np.unique(np.linspace(0, len(second) - 1, min(len(second), _MOST_QUERIES)).astype(np.int64))
    hit = cKDTree(first).query(second[take], distance_upper_bound=near)[0] < near
    return float(hit.mean()) if hit.sum() >= _FEWEST and hit.mean() >= _LEAST_SHARE else 0.0


def _groups(slides: list[Slide], key: Callable[[Slide], Hashable]) -> list[list[Slide]]:
    """Slides that share something, where there is something to share."""
    found: dict[Hashable, list[Slide]] = {}
    for slide in slides:
        found.setdefault(key(slide), []).append(slide)
    return [group for shared, group in found.items() if shared is not None and len(group) > 1]


def picture_source(slide: Slide) -> Hashable:
    """What the picture of a slide is opened from, the same for slides that share it; ``None`` where there is none."""
    source = slide.image_source
    if source is None:
        return None
    if slide.image_key is not None:
        return slide.image_key if in_spatialdata(slide.table) else (id(slide.record), slide.image_key)
    if isinstance(source, (str, Path)):
        return find_file(source, slide.folders).resolve()
    return id(source)


def _record(slide: Slide) -> Hashable:
    return (id(slide.record), slide.image_key if in_spatialdata(slide.table) else None) if slide.record else None


def _is_own(slide: Slide) -> bool:
    """Whether the record carries the name of the slide."""
    return slide.record is not None and records(slide.table).get(slide.name) is slide.record


def _full_resolution(slide: Slide) -> NDArray[np.float64]:
    """Positions in the pixels that the record speaks of, as far as these are known."""
    if slide.image_key not in THUMBNAILS or in_spatialdata(slide.table):
        return slide.positions
    return slide.positions / float(slide.record[_keys.SCALEFACTORS][_keys.scalef(slide.image_key)])


def _without_picture(slide: Slide, found: Overlap) -> Slide:
    problem = (
        f"{_on_one_picture(found)} Pass each slide its own: `image={{{found.first.name!r}: path, {found.second.name!r}: path}}`, "
        f"or give each a record of its name in uns[{_keys.SPATIAL!r}] (of records with one name, `anndata.concat` keeps one)."
    )
    return replace(slide, image_source=None, image_problem=problem, image_ambiguous=True)


def _on_one_picture(found: Overlap) -> str:
    first, second, share = found
    return (
        f"Slides {first.name!r} and {second.name!r} cannot both lie on one picture ({first.image_name}): {share:.0%} of the spots of "
        f"{second.name!r} lie on spots of {first.name!r}."
    )


def _without_record(slide: Slide, said: Scale, patient_key: str) -> Slide:
    """Leave of another slide's record what holds for its platform, and not its pixels, pictures and patient."""
    metadata = slide.record.get(_keys.METADATA) or {}
    record = {_keys.METADATA: {key: metadata[key] for key in (_keys.PLATFORM, _keys.PITCH_UM) if key in metadata}}
    size = resolve_mpp(said, record, slide.pitch_px, pixel_scale=1.0, name=slide.name, of=slide.pitch_source)
    return replace(
        slide,
        record=record,
        spot_diameter_px=None,
        patient=find_patient(slide.table, slide.rows, record, patient_key),
        mpp=size.mpp,
        mpp_source=size.source,
        mpp_doubt=size.doubt,
    )
