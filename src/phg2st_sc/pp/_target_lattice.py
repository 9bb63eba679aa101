"""The lattice that the measured spots lie on, and finer ones in phase with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .._spacing import spacing

Array = NDArray[np.float64]
LatticeKind = Literal["square", "hex"]

_FOLDS: dict[LatticeKind, int] = {"square": 4, "hex": 6}
_WINDOW = (0.75, 1.25)
_MOST_QUERIES = 20_000
_GROWTH = 1.5
_FIRST_RADIUS = 2.5
_FEWEST_TO_FIT = 6
_MOST_PLACES = 2_000_000


@dataclass(frozen=True, eq=False)
class Lattice:
    """Places ``origin + i * basis[0] + j * basis[1]`` for whole i and j.

    Attributes
    ----------
    kind
        ``"square"`` or ``"hex"``.
    origin
        (2,) one of its places.
    basis
        (2, 2) its two steps, as rows.
    """

    kind: LatticeKind
    origin: Array
    basis: Array

    def finer(self, factor: float) -> Lattice:
        """Return the lattice with its steps times ``factor``, through the same origin."""
        return Lattice(self.kind, self.origin, self.basis * factor)

    def places(self, low: Array, high: Array) -> Array:
        """Return the (k, 2) places inside the box from ``low`` to ``high``, row by row.

        Raises
        ------
        ValueError
            If there are more than two million.
        """
        corners = np.array([(low[0], low[1]), (low[0], high[1]), (high[0], low[1]), (high[0], high[1])])
        index = (corners - self.origin) @ np.linalg.inv(self.basis)
        first, last = np.floor(index.min(axis=0)), np.ceil(index.max(axis=0))
        size = last - first + 1
        if size.prod() > _MOST_PLACES:
            msg = (
                f"The lattice has about {size.prod():.2g} places there, more than {_MOST_PLACES}: choose a larger "
                "`pitch_um=` or a smaller `region=`."
            )
            raise ValueError(msg)
        j, i = np.mgrid[first[1] : last[1] + 1, first[0] : last[0] + 1]
        places = self.origin + np.column_stack([i.ravel(), j.ravel()]) @ self.basis
        return places[((places >= low) & (places <= high)).all(axis=1)]


def fit_lattice(positions: Array, pitch: float, kind: LatticeKind | None = None) -> Lattice:
    """Fit a lattice to measured spots: turned, sheared and jittered a little, and with gaps.

    Parameters
    ----------
    positions
        (n, 2) finite spot centres.
    pitch
        Distance of neighbouring spots in the same unit.
    kind
        ``None`` takes the one that the directions to the neighbours tell. The other one is laid through a spot in the
        middle, as there is nothing to fit it to.

    Returns
    -------
    Lattice
        Its origin is the place of a measured spot near the middle.
    """
    spreads = {name: _direction(positions, pitch, fold) for name, fold in _FOLDS.items()}
    seen: LatticeKind = "hex" if abs(spreads["hex"]) > abs(spreads["square"]) else "square"
    middle = positions[np.argmin(((positions - np.median(positions, axis=0)) ** 2).sum(axis=1))]
    angle = float(np.angle(spreads[seen])) / _FOLDS[seen]
    chosen = seen if kind is None else kind
    start = Lattice(chosen, middle, _steps(chosen, angle, pitch))
    # off any lattice there are no places to number
    return _refine(start, positions, pitch) if chosen == seen and spacing(positions).regular else start


def _direction(positions: Array, pitch: float, fold: int) -> complex:
    """Mean of exp(i * fold * angle) over the steps to neighbours: length 1 on a perfect lattice of that symmetry."""
    from scipy.spatial import cKDTree

    take = np.unique(np.linspace(0, len(positions) - 1, min(len(positions), _MOST_QUERIES)).astype(np.int64))
    distance, found = cKDTree(positions).query(positions[take], k=min(9, len(positions)))
    near = (distance >= _WINDOW[0] * pitch) & (distance <= _WINDOW[1] * pitch)
    step = (positions[found] - positions[take][:, None])[near]
    if not len(step):
        return 0.0 + 0.0j
    return complex(np.exp(1j * fold * np.arctan2(step[:, 1], step[:, 0])).mean())


def _steps(kind: LatticeKind, angle: float, pitch: float) -> Array:
    turns = np.array([angle, angle + 2.0 * np.pi / _FOLDS[kind]])
    return pitch * np.column_stack([np.cos(turns), np.sin(turns)])


def _refine(start: Lattice, positions: Array, pitch: float) -> Lattice:
    """Number the spots outwards from the middle, so that a small error of the first steps never adds up to a whole one."""
    distance = np.sqrt(((positions - start.origin) ** 2).sum(axis=1))
    origin, basis, radius = start.origin, start.basis, _FIRST_RADIUS * pitch
    while True:
        near = positions[distance <= radius]
        index = np.rint((near - origin) @ np.linalg.inv(basis))
        design = np.column_stack([np.ones(len(near)), index])
        if len(near) >= _FEWEST_TO_FIT and np.linalg.matrix_rank(design) == design.shape[1]:
            fitted = np.linalg.lstsq(design, near, rcond=None)[0]
            origin, basis = fitted[0], fitted[1:]
        if radius > distance.max():
            return Lattice(start.kind, origin, basis)
        radius *= _GROWTH
