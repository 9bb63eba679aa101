"""What several strategies share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._base import Positions

SHRINK = 0.95
"""By which a distance that asks for too much is cut."""


def nearest_in_a_square(
    positions: Positions, center: int, n: int, rng: np.random.Generator, among: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the ``n`` of some spots nearest to a centre by the larger of the two coordinate differences, then by distance."""
    offset = np.abs(positions[among] - positions[center])
    # lattice positions carry rounding noise, which must not decide between spots of one ring
    scale = max(float(np.ptp(positions, axis=0).max()), np.finfo(float).tiny)
    ring = np.round(offset.max(axis=1) / scale, 6)
    order = np.lexsort((rng.random(len(among)), np.linalg.norm(offset, axis=1), ring))
    return among[order[:n]]


def fill_up(chosen: NDArray[np.int64], n: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Top up from ``order``: spots that share one place cannot all be told apart by distance."""
    rest = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, rest[: n - chosen.size]])
