"""The one square capture area whose measurement leaves least open over the tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from .._progress import part
from ..linear import even_subset
from ..prompts import nearest_in_a_square, sample_mask
from ._greedy import Chosen, open_variance
from ._survey import ConditionalCovariance, Index, Seen, Survey, about_mean

Array = NDArray[np.float64]

_MOST_AREAS = 300
"""Capture areas that are compared."""
_MOST_SPOTS = 200
"""Of an area; more spots are stood for by an even subset of as much information."""


def best_block(survey: Survey, n: int, candidates: Index, targets: Index, rng: np.random.Generator) -> Chosen:
    """Choose the n candidates that lie in one square, the best of squares around spots all over the slide."""
    posterior = survey.posterior()
    every = np.arange(candidates.size)
    wanted = posterior.see(targets)
    positions = survey.places.positions[candidates]
    gains: list[float] = []
    areas: list[Index] = []
    for center in part(_centers(positions, rng), desc="compare", unit="area"):
        areas.append(candidates[nearest_in_a_square(positions, int(center), n, rng, every)])
        gains.append(_gain(posterior, wanted, areas[-1]))
    best = areas[int(np.argmax(gains))]
    gain = max(gains) / targets.size
    return Chosen(best, np.full(n, gain / n), open_variance(posterior, wanted))


def _centers(positions: Array, rng: np.random.Generator) -> Index:
    if len(positions) <= _MOST_AREAS:
        return np.arange(len(positions))
    return np.flatnonzero(sample_mask(positions, _MOST_AREAS, "poisson", rng))


def _gain(posterior: ConditionalCovariance, wanted: Seen, area: Index) -> float:
    """Variance that an area takes off, over all targets."""
    few = area[even_subset(area.size, _MOST_SPOTS)]
    seen = posterior.see(few)
    among = posterior.between(seen, seen)
    among[np.diag_indices(few.size)] += posterior.survey.to_come(few) * few.size / area.size
    root = cholesky(among, lower=True, check_finite=False)
    taken = solve_triangular(root, about_mean(posterior.between(wanted, seen)).T, lower=True, check_finite=False)
    return float((taken**2).sum())
