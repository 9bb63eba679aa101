"""Several small squares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ._base import Positions, register_strategy
from ._geometry import nearest_in_a_square
from ._poisson import poisson

_SPOTS_PER_SQUARE = 9


@register_strategy("squares")
def squares(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose several small squares of about nine spots each, well spread over the slide."""
    n_squares = min(n, max(2, round(n / _SPOTS_PER_SQUARE)))
    tree = cKDTree(positions)
    free = np.ones(len(positions), dtype=bool)
    chosen: list[NDArray[np.int64]] = []
    for square, center in enumerate(poisson(positions, n_squares, rng)):
        size = n // n_squares + (square < n % n_squares)
        # looking close by first keeps this linear in the number of spots
        close = tree.query(positions[center], k=min(len(positions), 4 * size + 8), p=np.inf)[1]
        close = np.atleast_1d(close)[free[close]]
        picked = nearest_in_a_square(
            positions, int(center), size, rng, close if close.size >= size else np.flatnonzero(free)
        )
        free[picked] = False
        chosen.append(picked)
    return np.concatenate(chosen)
