"""A regular sub-lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .._spacing import spacing
from ._base import Positions, register_strategy
from ._geometry import SHRINK, fill_up

_LEAST_PITCH = 0.3
"""Of the typical spacing: half of the points have a nearer one if they are thrown at random."""


@register_strategy("grid")
def grid(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the spots nearest to the nodes of the widest square grid that hits at least ``n`` of them.

    Where the grid hits more, surplus spots are left out at random.
    """
    tree = cKDTree(positions)
    reach = 0.75 * _pitch(tree, positions)
    low, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    shift = rng.random(2)
    spacing, hit = float(extent.max()), np.empty(0, dtype=np.int64)
    while spacing > reach / 8:
        hit = _nearest_to_nodes(tree, low - shift * spacing, extent, spacing, reach)
        if hit.size >= n:
            break
        spacing *= SHRINK
    keep = np.sort(rng.permutation(hit.size)[:n])
    return fill_up(hit[keep], n, rng.permutation(len(positions)))


def _nearest_to_nodes(
    tree: cKDTree, start: NDArray[np.float64], extent: NDArray[np.float64], spacing: float, reach: float
) -> NDArray[np.int64]:
    steps = np.ceil(extent / spacing).astype(int) + 2
    axes = [start[k] + spacing * np.arange(steps[k]) for k in range(2)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    distance, spot = tree.query(nodes, distance_upper_bound=reach)
    return np.unique(spot[np.isfinite(distance)]).astype(np.int64)


def _pitch(tree: cKDTree, positions: Positions) -> float:
    if len(positions) < 2:
        return 1.0
    apart = tree.query(positions, k=2)[0][:, 1]
    apart = apart[apart > 0]
    if not apart.size:
        return 1.0
    # near-doubles would ask for a grid of billions of nodes
    return max(float(np.median(apart)), _LEAST_PITCH * spacing(positions).distance)
