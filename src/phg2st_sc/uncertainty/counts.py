"""The count that a spot would show: gamma-mixed Poisson counts, whose quantiles left-out prompts correct.

Counts are discrete, so that what is corrected is the distribution of where left-out counts fell in their predicted
distributions (probability integral transform, counts spread evenly over the steps: Czado, Gneiting & Held 2009), by how
large a count was expected.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, gammaincinv
from scipy.stats import nbinom

from ..linear import even_subset

Array = NDArray[np.float64]

OVERDISPERSION = 0.01
"""Of counts of equal rates, as in the scores (theta = 100): variance beyond counting noise, over the squared mean."""
_EDGES = np.array([0.3, 1.0, 3.0, 10.0])
"""Expected counts between which counts are corrected alike."""
_GRID = np.concatenate([[0.0], expit(np.linspace(-8.0, 8.0, 99)), [1.0]])
_MOST = 10_000
_FEWEST = 30
_PRIOR_PROMPTS = 10.0
"""Prompts that no correction is worth."""
_MOST_SIZE = 1e7


def below(counts: Array, mean: Array, excess: Array) -> Array:
    """Probability of at most so many counts, whose variance is ``mean + excess``."""
    size, chance = _size(mean, excess)
    return np.asarray(np.where(counts < 0, 0.0, betainc(size, np.maximum(counts, 0.0) + 1.0, chance)))


def quantile(probability: Array, mean: Array, excess: Array) -> Array:
    """The fewest counts that at most so many have this probability."""
    size, chance = _size(mean, excess)
    return np.asarray(np.maximum(nbinom.ppf(probability, size, chance), 0.0))


def _size(mean: Array, excess: Array) -> tuple[Array, Array]:
    mean = np.maximum(mean, 1e-12)
    size = np.minimum(mean**2 / np.maximum(excess, 1e-12), _MOST_SIZE)
    return size, size / (size + mean)


@dataclass(frozen=True, eq=False)
class Curves:
    """What predicted probabilities really are, by expected count.

    Attributes
    ----------
    values
        (groups, points) probabilities at fixed predicted ones.
    """

    values: Array

    @classmethod
    def straight(cls) -> Curves:
        """Probabilities as they are predicted."""
        return cls(np.tile(_GRID, (_EDGES.size + 1, 1)))

    @classmethod
    def of(cls, counts: Array, mean: Array, excess: Array) -> Curves:
        """From counts (p, G) of left-out prompts."""
        trusted = len(counts) / (len(counts) + _PRIOR_PROMPTS)
        groups = np.digitize(mean, _EDGES)
        values = np.tile(_GRID, (_EDGES.size + 1, 1))
        for group in range(len(values)):
            here = np.flatnonzero(groups.ravel() == group)
            if here.size < _FEWEST:
                continue
            few = here[even_subset(here.size, _MOST)]
            c, m, e = (one.ravel()[few] for one in (counts, mean, excess))
            low, high = below(c - 1.0, m, e), below(c, m, e)
            step = np.maximum(high - low, 1e-12)
            seen = np.clip((_GRID[:, None] - low) / step, 0.0, 1.0).mean(axis=1)
            values[group] = trusted * seen + (1.0 - trusted) * _GRID
        return cls(values)

    def real(self, probability: Array, mean: Array) -> Array:
        """What predicted probabilities really are, of counts that are expected to be ``mean``."""
        groups, out = np.digitize(mean, _EDGES), np.empty(probability.shape)
        for group, values in enumerate(self.values):
            here = groups == group
            out[here] = np.interp(probability[here], _GRID, values)
        return out

    def predicted(self, probability: float, mean: Array) -> Array:
        """Predicted probabilities of what really has this one."""
        at = np.array([np.interp(probability, values, _GRID) for values in self.values])
        return np.asarray(at[np.digitize(mean, _EDGES)])


def count_interval(level: float, mean: Array, variance: Array, curves: Curves) -> tuple[Array, Array]:
    """Bounds, both included, between which counts fall with at least this probability.

    Parameters
    ----------
    level
        The probability.
    mean, variance
        Of expected counts; counting noise is not in it.
    curves
        What predicted probabilities really are.
    """
    excess = variance + OVERDISPERSION * mean**2
    tail = (1.0 - level) / 2.0
    low, high = (curves.predicted(at, mean) for at in (tail, 1.0 - tail))
    return quantile(low, mean, excess), quantile(high, mean, excess)


def rate_interval(level: float, mean: Array, variance: Array, curves: Curves) -> tuple[Array, Array]:
    """Bounds between which rates of a gamma distribution fall with this probability; as counts without end would."""
    tail, mean = (1.0 - level) / 2.0, np.maximum(mean, 1e-12)
    size = np.clip(mean**2 / np.maximum(variance, 1e-12), 1e-3, _MOST_SIZE)
    many = np.array(np.inf)
    low, high = (gammaincinv(size, curves.predicted(at, many)) * mean / size for at in (tail, 1.0 - tail))
    return np.asarray(low), np.asarray(high)
