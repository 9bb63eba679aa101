"""What the prompts leave open, beside the covariance of a Gaussian with everything written out."""

import numpy as np
import pytest

from phg2st_sc.linear import Covariance, Kernel, Places, posterior
from phg2st_sc.linear import _posterior as module

COVARIANCE = Covariance(Kernel(3.0, 0.3, 8.0), 0.5)


@pytest.fixture
def places(rng):
    return Places.of(rng.uniform(0, 9, size=(40, 2)), rng.normal(size=(40, 3)))


@pytest.fixture
def working(rng, make_working):
    index = np.sort(rng.choice(40, 12, replace=False))
    return make_working(index, rng.normal(scale=0.05, size=(12, 5)), rng.uniform(0.5, 2.0, 12))


def dense(places, working, ratio):
    """Variance of a column at every spot, in units of the noise of the median prompt."""
    signal = ratio * COVARIANCE.signal(places, places)
    index = working.index
    among = signal[np.ix_(index, index)] + np.diag(working.noise)
    return np.diag(signal - signal[:, index] @ np.linalg.solve(among, signal[index]))


def test_single_genes_have_the_variance_of_a_gaussian(places, working):
    ratio = np.array([0.1, 2.0, 0.1, 0.5, 2.0])
    made = posterior(places, working, COVARIANCE, ratio)
    assert made.loading.shape == (3, 5)
    expected = np.stack([dense(places, working, one) for one in ratio], axis=1) / working.depth
    np.testing.assert_allclose(made.variance(np.arange(40)), expected, rtol=1e-9, atol=1e-15)


def test_components_share_their_variance_out(places, working, rng):
    vectors = np.linalg.qr(rng.normal(size=(5, 2)))[0]
    made = posterior(places, working, COVARIANCE, np.array([0.4, 3.0]), vectors=vectors, remainder_ratio=0.05)
    by_component = np.stack([dense(places, working, one) for one in (0.4, 3.0)], axis=1)
    beyond = np.outer(dense(places, working, 0.05), 1.0 - (vectors**2).sum(axis=1))
    expected = (by_component @ vectors.T**2 + beyond) / working.depth
    np.testing.assert_allclose(made.variance(np.arange(40)), expected, rtol=1e-9, atol=1e-15)


def test_fewer_prompts_leave_more_open(places, working):
    made = posterior(places, working, COVARIANCE, np.ones(5))
    every = np.arange(40)
    fewer = made.given(np.arange(0, 12, 2))
    assert (fewer.open(every) >= made.open(every) - 1e-12).all()
    assert (fewer.open(working.index[1::2]) > made.open(working.index[1::2])).all()
    np.testing.assert_array_equal(made.take(np.array([3, 1])).variance(every), made.variance(every)[:, [3, 1]])


def test_of_very_many_prompts_those_around_a_spot_say_nearly_all(rng, make_working, monkeypatch):
    places = Places(rng.uniform(0, 40, size=(600, 2)))
    index = np.sort(rng.choice(600, 300, replace=False))
    working = make_working(index, np.zeros((300, 2)), np.ones(300))
    at_once = posterior(places, working, COVARIANCE, np.array([0.2, 1.0])).open(np.arange(600))
    monkeypatch.setattr(module, "_MOST_TOGETHER", 100)
    monkeypatch.setattr(module, "_AROUND", 120)
    monkeypatch.setattr(module, "_FAR", 40)
    monkeypatch.setattr(module, "_SPOTS", 60)
    by_place = posterior(places, working, COVARIANCE, np.array([0.2, 1.0])).open(np.arange(600))
    assert (by_place >= at_once - 1e-9).all()
    np.testing.assert_allclose(by_place, at_once, atol=0.03)


def test_without_prompts_nothing_is_known(places, make_working):
    nobody = make_working(np.zeros(0, np.int64), np.zeros((0, 5)), np.zeros(0))
    assert posterior(places, nobody, COVARIANCE, np.ones(5)) is None
