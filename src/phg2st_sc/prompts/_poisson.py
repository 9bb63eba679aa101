"""Well spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ._base import Positions, register_strategy
from ._geometry import SHRINK, fill_up


@register_strategy("poisson")
def poisson(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose well-spread spots: random darts that keep a distance, which shrinks until enough have landed.

    Hierarchical dart throwing (McCool and Fiume 1992, "Hierarchical Poisson disk sampling distributions").
    """
    order = rng.permutation(len(positions))
    tree = cKDTree(positions)
    nearest = np.full(len(positions), np.inf)
    chosen: list[int] = []
    extent = np.ptp(positions, axis=0)
    # no n darts in a box of that size are farther apart than this: starting wider would only favour the edges
    radius = widest = max(float(np.sqrt(1.16 * extent.prod() / n)), float(np.linalg.norm(extent)) / n)
    while len(chosen) < n and radius > 1e-6 * widest:
        for spot in order[nearest[order] >= radius]:
            if len(chosen) == n:
                break
            if nearest[spot] >= radius:
                chosen.append(int(spot))
                close = tree.query_ball_point(positions[spot], radius)
                distance = np.linalg.norm(positions[close] - positions[spot], axis=1)
                nearest[close] = np.minimum(nearest[close], distance)
        radius *= SHRINK
    return fill_up(np.array(chosen, dtype=np.int64), n, order)
