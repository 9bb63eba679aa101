"""How far apart neighbouring points are, on a lattice or on none: the unit in which distances are counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MOST_QUERIES = 20_000
_FIRST_GUESS_PERCENTILE = 15
_WINDOW = (0.75, 1.25)
_MOST_ROUNDS = 20
_NEIGHBORS = 8
_AROUND = 12
"""Neighbours by which density is judged: two shells of a lattice, so that square and hexagonal ones agree within 7 %."""
_NEAR_DOUBLE = 0.1
"""Points nearer than this part of the spacing are one point twice: of points thrown at random, 3 % are."""
_MANY_DOUBLES = 0.1
_AGREES = (0.75, 1.35)
"""A lattice without gaps has a pitch of 0.94 to 1.02 spacings, down to 0.8 on a few dozen spots, which are mostly edge."""
_FEWEST_TO_JUDGE = 10
_LEAST_KEPT = 0.3
"""Pitch in spacings down to which a lattice with gaps is one: a tenth of its places is left."""
_SHARP, _FEW_SHORT = 0.12, 0.06
"""Spread of the distances about a pitch, and share of shorter ones. Off a lattice: 0.14, and a third."""


class Spacing(NamedTuple):
    """Distance of neighbouring points, and whether they lie on a lattice, or as evenly as on one."""

    distance: float
    regular: bool


def spacing(positions: Array) -> Spacing:
    """Typical distance between neighbouring points of any pattern.

    On a square or hexagonal lattice, with gaps and jitter, its pitch (:func:`lattice_pitch`). Of other points the side of
    the square that each has to itself, at the median point: that of a lattice of the same density. Clusters, gaps, edges
    and points that stand there twice hardly move it.

    Parameters
    ----------
    positions
        (n, 2) points in any unit; rows that are not finite are left out.

    Returns
    -------
    Spacing
        In the unit of ``positions``; NaN with fewer than two distinct points.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> distance, regular = spacing(rng.random((2000, 2)) * 77 * 2000**0.5)
    >>> round(distance), regular
    (76, False)
    """
    points = _distinct(positions)
    if len(points) < 2:
        return Spacing(float("nan"), True)
    distances = _to_neighbors(points, _NEIGHBORS)
    pitch = _pitch(distances)
    if len(points) < _FEWEST_TO_JUDGE:
        return Spacing(pitch, True)
    typical = density_spacing(points)
    ratio = pitch / typical
    regular = _AGREES[0] <= ratio <= _AGREES[1] or (ratio >= _LEAST_KEPT and _is_sharp(distances, pitch))
    return Spacing(pitch, True) if regular else Spacing(typical, False)


def lattice_pitch(positions: Array) -> float:
    """Distance between neighbouring spots of a square or hexagonal lattice.

    The median over all pairs of neighbours, where neighbours are those within a quarter of the pitch. Unlike the plain
    median distance to the nearest spot, it is not pulled down by jitter, nor up by missing spots. Off a lattice it has no
    meaning: see :func:`spacing`.

    Parameters
    ----------
    positions
        (n, 2) spot centres in pixels; rows that are not finite are left out.

    Returns
    -------
    float
        Pitch in the unit of ``positions``; NaN with fewer than two distinct centres.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(5) * 40.0, np.arange(4) * 40.0)
    >>> lattice_pitch(np.column_stack([x.ravel(), y.ravel()]))
    40.0
    """
    points = _distinct(positions)
    return float("nan") if len(points) < 2 else _pitch(_to_neighbors(points, _NEIGHBORS))


def _distinct(positions: Array) -> Array:
    points = np.asarray(positions, dtype=np.float64)
    # np.unique also sorts: the answer must not depend on the order of the spots
    return np.unique(points[np.isfinite(points).all(axis=1)], axis=0)


def _to_neighbors(points: Array, k: int) -> Array:
    """Distances (m, k) to the nearest others, of an even subset of many points."""
    from scipy.spatial import cKDTree

    take = np.unique(np.linspace(0, len(points) - 1, min(len(points), _MOST_QUERIES)).astype(np.int64))
    found, _ = cKDTree(points).query(points[take], k=min(k + 1, len(points)))
    return np.asarray(found[:, 1:])


def _pitch(distances: Array) -> float:
    pitch = float(np.percentile(distances[:, 0], _FIRST_GUESS_PERCENTILE))
    for _ in range(_MOST_ROUNDS):
        near = _near(distances, pitch)
        refined = float(np.median(near)) if near.size else pitch
        if abs(refined - pitch) <= 1e-9 * pitch:
            break
        pitch = refined
    return pitch


def _near(distances: Array, pitch: float) -> Array:
    return distances[(distances >= _WINDOW[0] * pitch) & (distances <= _WINDOW[1] * pitch)]


def _is_sharp(distances: Array, pitch: float) -> bool:
    """Whether distances crowd about the pitch, as they do on a lattice with gaps, and hardly any is shorter."""
    near, n_short = _near(distances, pitch), int((distances < _WINDOW[0] * pitch).sum())
    if not near.size:
        return False
    return bool(near.std() < _SHARP * pitch and n_short < _FEW_SHORT * (n_short + near.size))


def density_spacing(points: Array) -> float:
    """Side of the square that a point has to itself, at the median point, near-doubles taken as one."""
    distances = _to_neighbors(points, _around(points))
    typical = _side(distances)
    for _ in range(_MOST_ROUNDS):
        if float((distances[:, 0] < _NEAR_DOUBLE * typical).mean()) <= _MANY_DOUBLES:
            break
        single = _without_doubles(points, _NEAR_DOUBLE * typical)
        if not _FEWEST_TO_JUDGE <= len(single) < len(points):
            break
        points = single
        distances = _to_neighbors(points, _around(points))
        typical = _side(distances)
    return typical


def _around(points: Array) -> int:
    """Neighbours to look at: of few points only those nearby, else most of them would lie at the edge."""
    return min(_AROUND, max(1, (len(points) - 1) // 3))


def _side(distances: Array) -> float:
    # k points lie within the distance to the k-th: sum over k of k = density * pi * distance**2
    k = distances.shape[1]
    area = np.pi * (distances**2).sum(axis=1) / (k * (k + 1) / 2)
    return float(np.sqrt(np.median(area)))


def _without_doubles(points: Array, reach: float) -> Array:
    """Points without those that have an earlier one as their nearest, within reach."""
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(points).query(points, k=2)
    return points[~((distance[:, 1] < reach) & (nearest[:, 1] < np.arange(len(points))))]
