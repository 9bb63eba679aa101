"""Which row of a file belongs to which spot: by name, by place, or by order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._slide import Slide, check_finite_centers
from .._text import quoted

if TYPE_CHECKING:
    from ..encoders import FeatureFile

Match = Literal["auto", "name", "place"]


@dataclass(frozen=True)
class Call:
    """How spots and rows are matched.

    Attributes
    ----------
    match
        By what.
    obs_key
        Column of ``obs`` with the names of the file; ``None`` for ``obs_names``.
    max_distance
        How far a spot may lie from the centre of its tile along x and y, in pixels; ``None`` for half a tile.
    tile_um
        Side of a tile in µm where the call says it.
    by_slide
        Whether every slide has features of its own.
    """

    match: Match
    obs_key: str | None
    max_distance: float | None
    tile_um: float | None
    by_slide: bool = False


def rows_of_spots(slide: Slide, file: FeatureFile, call: Call, tile_um: float) -> NDArray[np.int64]:
    """Row in the file of every spot; -1 where there is none."""
    by_name = call.match == "name" or (call.match == "auto" and file.names is not None)
    if by_name:
        return _by_name(slide, file, call.obs_key)
    if call.match == "auto" and file.places is None:
        return _in_order(slide, file, by_slide=call.by_slide)
    return _by_place(slide, file, call, tile_um)


def _in_order(slide: Slide, file: FeatureFile, *, by_slide: bool) -> NDArray[np.int64]:
    n_obs = slide.table.n_obs
    if by_slide and file.shape[0] == slide.n_spots:
        return np.searchsorted(np.sort(slide.rows), slide.rows).astype(np.int64)
    if file.shape[0] != n_obs:
        own = f", slide {slide.name!r} {slide.n_spots}" if by_slide else ""
        msg = (
            f"{file.where!r} has {file.shape[0]} rows without names or places, and the object has {n_obs}{own}: pass `index=` with "
            "the name of every row."
        )
        raise ValueError(msg)
    return slide.rows


def _by_name(slide: Slide, file: FeatureFile, obs_key: str | None) -> NDArray[np.int64]:
    if file.names is None:
        msg = f"{file.where!r} holds no names to match by: pass `match='place'`, or `index=` for an array."
        raise ValueError(msg)
    known = pd.Index(file.names)
    if not known.is_unique:
        repeated = known[known.duplicated()].unique()
        msg = (
            f"{file.where!r}: {len(repeated)} names stand for several rows ({quoted(repeated)}), so none can be chosen."
        )
        raise ValueError(msg)
    if obs_key is not None and obs_key not in slide.table.obs:
        msg = f"obs has no column {obs_key!r} (there are: {quoted(slide.table.obs)})."
        raise KeyError(msg)
    names = slide.table.obs_names if obs_key is None else pd.Index(slide.table.obs[obs_key].astype(str))
    rows: NDArray[np.int64] = known.get_indexer(names[slide.rows].astype(str)).astype(np.int64)
    return rows


def _by_place(slide: Slide, file: FeatureFile, call: Call, tile_um: float) -> NDArray[np.int64]:
    """Row of the tile whose centre is nearest along the farther of x and y, as far as the spot lies inside it."""
    from scipy.spatial import cKDTree

    if file.places is None:
        msg = f"{file.where!r} holds no places to match by: pass `match='name'`, or a table with columns x and y."
        raise ValueError(msg)
    check_finite_centers(slide)
    side = file.tile_px
    if side is None and (file.corners or call.max_distance is None):
        side = tile_um / slide.require_mpp()
    centers = file.places + side / 2.0 if file.corners and side is not None else file.places
    reach = call.max_distance if call.max_distance is not None else (side or 0.0) / 2.0
    finite = np.flatnonzero(np.isfinite(centers).all(axis=1))
    if not len(finite):
        return np.full(slide.n_spots, -1, dtype=np.int64)
    distance, nearest = cKDTree(centers[finite]).query(slide.positions, p=np.inf)
    return np.where(distance <= reach, finite[nearest], -1)


def no_spot(slide: Slide, file: FeatureFile, call: Call) -> str:
    start = f"{file.where!r} has no features for any spot of slide {slide.name!r}"
    if file.names is not None and call.match != "place":
        mine = slide.table.obs_names[slide.rows[:3]]
        return f"{start}: its names are like {quoted(file.names[:3].tolist())}, those of the spots like {quoted(mine)}. Is there a column of obs with the former (`obs_key=`)?"
    ranges = [
        f"x {a[0]:.0f} to {b[0]:.0f}, y {a[1]:.0f} to {b[1]:.0f}" for a, b in map(_span, (file.places, slide.positions))
    ]
    return f"{start}: its tiles lie at {ranges[0]}, the spots at {ranges[1]}, in pixels. Are both of the same picture at full resolution?"


def _span(places: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.nanmin(places, axis=0), np.nanmax(places, axis=0)
