"""Drawn fields have the covariance of the posterior, with everything written out."""

import numpy as np
import pytest

from phg2st_sc.linear import Covariance, Kernel, Places, posterior
from phg2st_sc.linear import _draws as module

KERNEL = Kernel(3.0, 0.3, 8.0)


@pytest.fixture
def problem(rng, make_working, monkeypatch):
    monkeypatch.setattr(module, "_FEATURES", 6000)
    places = Places.of(rng.uniform(0, 9, size=(14, 2)), rng.normal(size=(14, 3)))
    working = make_working(np.array([0, 3, 9]), np.zeros((3, 4)), np.array([0.5, 1.0, 2.0]))
    return places, working, np.array([0.5, 4.0, 0.5, 4.0])


def dense(places, working, ratio):
    signal = Covariance(KERNEL, 1.0).signal(places, places)
    index = working.index
    among = signal[np.ix_(index, index)] + np.diag(working.noise) / ratio
    return signal - signal[:, index] @ np.linalg.solve(among, signal[index])


def test_fields_have_the_covariance_of_the_posterior(problem):
    places, working, ratio = problem
    made = posterior(places, working, Covariance(KERNEL, 1.0), ratio)
    found = made.fields(np.array([4000, 4000]), np.random.default_rng(0))(np.arange(14))
    for values, one in zip(found, (0.5, 4.0), strict=True):
        assert values.shape == (14, 4000)
        np.testing.assert_allclose(np.cov(values), dense(places, working, one), atol=0.12)
        np.testing.assert_allclose(np.diag(np.cov(values)), np.diag(dense(places, working, one)), rtol=0.12)


def test_spots_may_be_asked_for_in_any_order(problem):
    places, working, ratio = problem
    made = posterior(places, working, Covariance(KERNEL, 1.0), ratio)
    at = made.fields(np.array([2, 3]), np.random.default_rng(0))
    every, some = at(np.arange(14)), at(np.array([11, 2]))
    for one, few in zip(every, some, strict=True):
        np.testing.assert_allclose(few, one[[11, 2]], rtol=1e-9, atol=1e-12)


def test_the_same_seed_draws_the_same_fields(problem):
    places, working, ratio = problem
    made = posterior(places, working, Covariance(KERNEL, 1.0), ratio)
    one, same, other = (made.fields(np.array([1, 1]), np.random.default_rng(s))(np.arange(14)) for s in (0, 0, 1))
    np.testing.assert_array_equal(one[0], same[0])
    assert not np.array_equal(one[0], other[0])
