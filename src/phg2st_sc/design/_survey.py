"""What is known of a slide before more of it is measured: how alike its places are, and how noisy a measurement would be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from ..linear import MAX_EXACT, Covariance, Places, even_subset

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Survey:
    """A slide as those who plan a measurement see it.

    Attributes
    ----------
    places
        All n spots.
    covariance
        Of the signal; its ratio is that of a typical gene or gene component at the usual spot.
    measured
        (p,) spots that were measured already.
    noise
        (p,) noise variance of their measurements, 1 at the usual spot.
    expected_noise
        (n,) the same of a measurement to come at any spot.
    """

    places: Places
    covariance: Covariance
    measured: Index
    noise: Array
    expected_noise: Array

    def to_come(self, spots: Index) -> Array:
        """Noise variance of measurements to come, in units of the signal's."""
        return np.asarray(self.expected_noise[spots] / self.covariance.ratio)

    @property
    def prior(self) -> float:
        """Variance of the signal at any spot before anything is measured, in the same units."""
        first = self.places[np.zeros(1, dtype=np.int64)]
        return float(self.covariance.signal(first, first)[0, 0])

    def given(self, kept: Index) -> Survey:
        """The same with some of its measured spots."""
        return replace(self, measured=self.measured[kept], noise=self.noise[kept])

    def within(self, rows: Index) -> Survey:
        """A part of the slide by itself; ``rows`` ascending."""
        there = np.isin(self.measured, rows)
        return Survey(
            self.places[rows],
            self.covariance,
            np.searchsorted(rows, self.measured[there]),
            self.noise[there],
            self.expected_noise[rows],
        )

    def posterior(self) -> ConditionalCovariance:
        """What the measured spots leave open; of very many, an even subset."""
        return ConditionalCovariance(self.given(even_subset(self.measured.size, MAX_EXACT)))


@dataclass(frozen=True, eq=False)
class Seen:
    """Some spots under what was measured.

    Attributes
    ----------
    places
        The m spots.
    taken
        (p, m) factor of the covariance that the measured spots take away.
    """

    places: Places
    taken: Array

    def take(self, which: Index) -> Seen:
        """Some of them."""
        return Seen(self.places[which], self.taken[:, which])


@dataclass(frozen=True, eq=False)
class ConditionalCovariance:
    """Covariance of the signal given the spots that were measured.

    Attributes
    ----------
    survey
        The slide.
    """

    survey: Survey

    @cached_property
    def _root(self) -> Array:
        places = self.survey.places[self.survey.measured]
        noise = np.diag(self.survey.noise / self.survey.covariance.ratio)
        return np.asarray(cholesky(self._prior(places, places) + noise, lower=True, check_finite=False))

    def _prior(self, a: Places, b: Places) -> Array:
        return np.asarray(self.survey.covariance.signal(a, b))

    def see(self, spots: Index) -> Seen:
        """Some spots, ready for :meth:`between`."""
        places, measured = self.survey.places[spots], self.survey.measured
        if not measured.size:
            return Seen(places, np.zeros((0, spots.size)))
        towards = self._prior(self.survey.places[measured], places)
        return Seen(places, np.asarray(solve_triangular(self._root, towards, lower=True, check_finite=False)))

    def between(self, a: Seen, b: Seen) -> Array:
        """(a, b) covariance of the signal at some spots with that at others."""
        prior = self._prior(a.places, b.places)
        return prior if not a.taken.size else prior - a.taken.T @ b.taken

    def variance(self, spots: Seen) -> Array:
        """(m,) variance of the signal at some spots."""
        return np.asarray(self.survey.prior - (spots.taken**2).sum(axis=0))


def about_mean(values: Array) -> Array:
    """Columns less their means: of a covariance (targets, spots), that of what the targets have beyond their mean."""
    return np.asarray(values - values.mean(axis=0))
