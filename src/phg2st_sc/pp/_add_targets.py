"""Rows for places without a spot: a finer lattice, tissue beyond the capture area, gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._checks import is_positive
from .._deprecated import renamed_parameters
from .._docs import documented
from .._image import Picture, pictures_record
from .._reading import Reading, pictures_of, warn_of_another_picture
from .._slide import Added, Slide, check_finite_centers, check_positions_in_image, extend, is_target, warn_off_lattice
from .._text import quoted
from .._warn import one_message_per_fault, warn_of_each
from ._target_lattice import Lattice, LatticeKind, fit_lattice
from ._target_region import Polygon, Region, capture_area, polygon

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    Data = TypeVar("Data", AnnData, SpatialData)

_TISSUE, _CAPTURE = "tissue", "capture"
_WHOLE_PART = 0.02
"""How far a pitch may be from a whole part of the measured one and is still taken for it."""


@dataclass(frozen=True)
class _Laying:
    pitch_um: float | None
    region: Any
    lattice: LatticeKind | None
    min_distance: float


@renamed_parameters(table="table_key")
@one_message_per_fault
@documented
def add_targets(
    data: Data,
    *,
    pitch_um: float | None = None,
    region: Any = _TISSUE,
    image: Any = None,
    mpp: float | None = None,
    platform: str | None = None,
    lattice: LatticeKind | None = None,
    min_distance: float = 0.5,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
) -> Data:
    """Make rows for places where no spot was, so that expression is predicted there too.

    Targets lie on the lattice of the measured spots, or on a finer one in phase with it, inside ``region`` and off the
    spots: with ``pitch_um=None`` they fill the places that the lattice skips (failed spots, tissue beyond the capture area),
    with half the pitch they lie between the spots as well. Next come
    :func:`phg2st_sc.pp.extract_embeddings`, for methods that look at the image, and :func:`phg2st_sc.tl.impute`, with
    ``prompt_mask=~new.obs["phg2st_target"]`` where every spot was measured.

    Parameters
    ----------
    {data}
        A view is fine; the spots of a SpatialData are circles. It stays as it is.
    {pitch_um:targets}
        ``None``: that of the measured spots. Within 2 % of a whole part of that (a half, a third, ...) it is that part exactly.
    region
        ``"tissue"``: what the image shows as tissue, by stain and texture, read at low resolution (stained debris
        larger than four squared pitches is taken for tissue). ``"capture"``: the area of the
        measured spots, to 0.4 pitches around them, without gaps, and bays narrower than six pitches; no image is needed. Or
        a shapely polygon, or its (k, 2) corners (x, y), in full-resolution pixels of an AnnData, or pixels of the image
        element of a SpatialData. Several slides may have one each: a dict by slide name.
    {image}
        The thumbnail is enough for ``region="tissue"``.
    {mpp}
        Needed only with ``pitch_um``, where neither the record nor the image file tells.
    {platform}
    lattice
        ``"square"`` or ``"hex"``; ``None`` for that of the measured spots.
    min_distance
        Targets nearer than this to a spot, or to a target of an earlier call, are left out; in pitches of the targets.
    {slide_key} {table_key} {coordinate_system} {pitch}
        That of the measured spots.

    Returns
    -------
    A new object of the same kind, rows of ``data`` first. ``obs["phg2st_target"]`` (bool) marks the targets,
    ``uns["phg2st_target"]`` tells how they were laid, ``obsm["spatial"]`` holds their centres. ``X``, sparse layers and
    dense layers of whole numbers (counts) are 0 there, dense layers of other numbers (predictions, log-normalised
    expression) and other ``obsm`` arrays NaN. Boolean columns of ``obs``, ``"prompt"`` among them, are False; patient,
    library, section and ``slide_key`` are those of the slide; all other columns have gaps, so integers become float64.
    Dropped, because they would be stale: embeddings and their context with their records (:func:`extract_embeddings` makes
    them anew), graphs (``obsp``) with theirs, and ``raw``. A SpatialData shares all elements with ``data`` but the table and
    its circles; nothing is written to disk, and the new object has no store until it is written.

    Raises
    ------
    KeyError
        If ``region="tissue"`` and there is no image, or there are no spot coordinates.
    FileNotFoundError
        If ``region="tissue"`` and the image is not where it should be.
    TypeError
        If ``region`` is of no form named above.
    ValueError
        If mpp is unknown although ``pitch_um`` is given; a number is out of range; spots lie on one line or outside the
        image; the polygon is not valid; there would be more than two million places; spots of a SpatialData are no circles.

    Warns
    -----
    UserWarning
        If a slide gets no target.

    Notes
    -----
    Targets are never measured: a prompt mask that marks one is refused, :func:`sample_prompts` draws none, training leaves
    them out and :func:`phg2st_sc.tl.evaluate` does not score them. The pitch of a slide, and with it distances of all
    methods, is that of the spots. Kriging and inverse distances predict the same at the spots with and without
    targets. Methods that standardise image features over the slide, choose by cross-validation at distances like those to
    be predicted, or pass messages between neighbouring rows change slightly there: on a breast tumour section, with half
    or a third of the pitch, predictions of the default model at its spots correlated 0.94 to 0.99 with those without
    targets, and scored the same within 0.004 with scattered prompts and 0.01 with a block of them.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=100, image=False, progress=False)
    >>> finer = phg2st.pp.add_targets(adata, pitch_um=50, platform="Visium", region="capture")
    >>> bool(finer.obs["phg2st_target"].sum() > 2 * adata.n_obs)
    True
    """
    call = _checked(pitch_um, region, lattice, min_distance)
    data = data.copy() if getattr(data, "is_view", False) else data
    # `pitch_um` is of the targets here
    reading = replace(Reading.among(locals()), pitch_um=None)
    slides = reading.open(data, image=image, mpp=mpp, platform=platform)
    warn_off_lattice(slides)
    added, laid = [], []
    for slide in slides:
        check_finite_centers(slide)
        places, fitted, factor = _places(slide, call)
        added.append(Added(slide, places))
        laid.append((fitted.kind, slide.pitch_px * factor, len(places)))
        if not len(places):
            why = "no target: the lattice has no free place in the region (see `pitch_um=`)."
            warn_of_each(
                f"Slide {slide.name!r} gets {why}", each=repr(slide.name), several=f"Slides {{which}} get {why}"
            )
    record: dict[str, Any] = {
        "slides": np.array([slide.name for slide in slides], dtype=object),
        "region": region if isinstance(region, str) else "polygon",
        "lattice": np.array([kind for kind, _, _ in laid], dtype=object),
        "pitch_px": np.array([pitch for _, pitch, _ in laid]),
        "n_targets": np.array([number for _, _, number in laid], dtype=np.int64),
        "min_distance": float(min_distance),
    }
    if pitch_um is not None:
        record[_keys.PITCH_UM] = float(pitch_um)
    seen = {slide.name: pictures_of(slide)[-1] for slide in slides if pictures_of(slide)}
    if seen:
        record[_keys.PICTURES] = {"slides": np.array(list(seen)), **pictures_record(list(seen.values()))}
    return extend(data, added, slide_key=slide_key, record=record)


def _checked(pitch_um: float | None, region: Any, lattice: LatticeKind | None, min_distance: float) -> _Laying:
    if pitch_um is not None and not is_positive(pitch_um):
        raise ValueError(f"`pitch_um` must be a number of µm above 0, got {pitch_um!r}.")
    if not is_positive(min_distance):
        raise ValueError(f"`min_distance` must be a number of pitches above 0, got {min_distance!r}.")
    if lattice not in (None, "square", "hex"):
        raise ValueError(f"`lattice` is 'square', 'hex' or None, not {lattice!r}.")
    if isinstance(region, str) and region not in (_TISSUE, _CAPTURE):
        raise ValueError(f"`region` is {_TISSUE!r}, {_CAPTURE!r} or a polygon, not {region!r}.")
    return _Laying(pitch_um, region, lattice, float(min_distance))


def _places(slide: Slide, call: _Laying) -> tuple[NDArray[np.float64], Lattice, float]:
    """Targets of one slide in pixels, the lattice of the spots, and the pitch of the targets in measured ones."""
    from scipy.spatial import cKDTree

    slide.pitch_positions()  # raises where there is no pitch
    spots = slide.positions[~is_target(slide.table, slide.rows)]
    if np.linalg.matrix_rank(spots - spots.mean(axis=0)) < 2:
        msg = (
            f"The {len(spots)} spots of slide {slide.name!r} lie on one line: a lattice needs spots beside each other."
        )
        raise ValueError(msg)
    where = _region(slide, spots, call)
    factor = _factor(slide, call.pitch_um)
    fitted = fit_lattice(spots, slide.pitch_px, call.lattice)
    places = fitted.finer(factor).places(*where.bounds())
    places = places[where.contains(places)]
    away, _ = cKDTree(slide.positions).query(places)
    return places[away >= call.min_distance * factor * slide.pitch_px], fitted, factor


def _factor(slide: Slide, pitch_um: float | None) -> float:
    """Pitch of the targets in measured pitches."""
    if pitch_um is None:
        return 1.0
    factor = pitch_um / (_mpp(slide) * slide.pitch_px)
    parts = max(1, round(1.0 / factor))
    return 1.0 / parts if abs(factor * parts - 1.0) <= _WHOLE_PART else factor


def _mpp(slide: Slide) -> float:
    if slide.mpp is not None:
        return slide.require_mpp()
    if slide.image_source is not None:
        opened = slide.open_image()
        try:
            if opened.mpp is not None:
                return opened.mpp
        finally:
            opened.close()
    msg = (
        f"Slide {slide.name!r}: `pitch_um` is in µm, but the size of a pixel is unknown, and is never guessed. Pass `mpp=` "
        "(µm per pixel) or `platform=` ('ST', 'Visium', ...), or `pitch_um=None` for the pitch of the measured spots."
    )
    raise ValueError(msg)


def _region(slide: Slide, spots: NDArray[np.float64], call: _Laying) -> Region:
    region = call.region
    if isinstance(region, Mapping):
        keys = [key for key in region if key == slide.name] or [key for key in region if str(key) == slide.name]
        if not keys:
            raise KeyError(f"`region=` has no entry for slide {slide.name!r}, only for {quoted(region)}.")
        region = region[keys[0]]
    if isinstance(region, str) and region == _TISSUE:
        return _tissue(slide, spots)
    if isinstance(region, str) and region == _CAPTURE:
        return capture_area(spots, slide.pitch_px)
    return _in_pixels(slide, polygon(region))


def _tissue(slide: Slide, spots: NDArray[np.float64]) -> Region:
    from ._tissue_mask import tissue_mask

    try:
        opened = slide.open_image()
    except (KeyError, FileNotFoundError) as error:
        msg = (
            f"`region='tissue'` needs the image of slide {slide.name!r}. {error.args[-1]} Or pass `region='capture'` for the "
            "area of the measured spots, or a polygon."
        )
        raise (FileNotFoundError(msg) if isinstance(error, FileNotFoundError) else KeyError(msg)) from error
    try:
        check_positions_in_image(slide, opened.height, opened.width)
        warn_of_another_picture(slide, Picture.of(opened, slide.image_name))
        return tissue_mask(opened, spots, slide.pitch_px)
    finally:
        opened.close()


def _in_pixels(slide: Slide, found: Polygon) -> Polygon:
    """Return the polygon in pixels of the thumbnail, where the positions of an AnnData are in these."""
    if slide.image_key is None or _keys.SPATIALDATA_ATTRS in slide.table.uns:
        return found
    from shapely.affinity import scale

    factor = float(slide.record[_keys.SCALEFACTORS][_keys.scalef(slide.image_key)])
    return Polygon(scale(found.geometry, factor, factor, origin=(0, 0)))
