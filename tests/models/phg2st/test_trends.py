"""Trends: slopes against dense algebra, and what is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import block_diag

from phg2st_sc.linear._gaussian import Covariance, System
from phg2st_sc.linear._kernels import Kernel, Places
from phg2st_sc.models.phg2st.trends import (
    DEFAULT_SLOPES,
    OTHER_PATIENTS,
    SAME_PATIENT,
    SERIAL,
    SLOPE_SD,
    MeasuredTrends,
    Trends,
    learn_slopes,
    slide_slopes,
)


def test_slopes_equal_dense_generalized_least_squares(rng):
    n, k, depth = 14, 3, 800.0
    places = Places(rng.uniform(0, 8, size=(n, 2)))
    noise = rng.uniform(0.5, 2.0, n)
    ratio = np.array([0.1, 0.7, 2.0])
    columns = rng.normal(scale=0.05, size=(n, k))
    trends = [rng.normal(scale=0.05, size=(n, k)) for _ in range(2)]
    prior = np.array([0.4, 0.7])
    covariance = Covariance(Kernel(3.0), 1.0)
    found = slide_slopes(System.of(covariance, places, noise, columns), ratio, depth, trends, prior)

    signal = covariance.signal(places, places)
    inverse = np.linalg.inv(block_diag(*[(r * signal + np.diag(noise)) / depth for r in ratio]))
    design = np.stack([one.T.ravel() for one in trends], axis=1)
    precision = design.T @ inverse @ design + np.eye(2) / SLOPE_SD**2
    expected = np.linalg.solve(precision, design.T @ inverse @ columns.T.ravel() + prior / SLOPE_SD**2)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_prompts_correct_the_slope_of_a_trend(rng):
    places, noise = Places(rng.uniform(0, 20, size=(80, 2))), np.ones(80)
    trend = rng.normal(size=(80, 4))
    for true in (0.0, 1.3):
        system = System.of(Covariance(Kernel(3.0), 1.0), places, noise, true * trend)
        found = slide_slopes(system, np.full(4, 0.1), 1e4, [trend], np.array([0.8]))
        assert found[0] == pytest.approx(true, abs=0.01)
        timid = slide_slopes(system, np.full(4, 0.1), 1e-6, [trend], np.array([0.8]))
        assert timid[0] == pytest.approx(0.8, abs=0.01)


def measured(rng, slope, kinds=(SAME_PATIENT,), n=100):
    values = tuple(rng.normal(size=(n, 3)) for _ in kinds)
    truth = sum(s * value for s, value in zip(slope, values, strict=True)) + 0.01 * rng.normal(size=(n, 3))
    return MeasuredTrends(Trends(kinds, values), truth, np.full(n, 1 / n))


def test_learned_slopes(rng):
    assert learn_slopes([]) == dict(DEFAULT_SLOPES)
    many = learn_slopes([measured(rng, (1.0,)) for _ in range(40)])
    assert many[SAME_PATIENT,][0] == pytest.approx(1.0, abs=0.02)
    one = learn_slopes([measured(rng, (1.0,))])  # a section weighs as much as the default
    assert one[SAME_PATIENT,][0] == pytest.approx((1.0 + DEFAULT_SLOPES[SAME_PATIENT,][0]) / 2, abs=0.01)
    assert one[OTHER_PATIENTS,] == DEFAULT_SLOPES[OTHER_PATIENTS,]
    assert learn_slopes([measured(rng, (-2.0,)) for _ in range(9)])[SAME_PATIENT,] == (0.0,)
    nothing = replace(measured(rng, (1.0,)), trends=Trends((SAME_PATIENT,), (np.zeros((100, 3)),)))
    assert learn_slopes([nothing])[SAME_PATIENT,] == pytest.approx(DEFAULT_SLOPES[SAME_PATIENT,])


def test_learned_slopes_of_two_trends(rng):
    kinds = (OTHER_PATIENTS, SERIAL)
    found = learn_slopes([measured(rng, (0.3, 0.6), kinds) for _ in range(60)])
    np.testing.assert_allclose(found[kinds], (0.3, 0.6), atol=0.02)
    np.testing.assert_allclose(found[SERIAL,], 0.6, atol=0.05)  # each alone too


def test_trends_by_gene_add_the_remainder_to_the_serial_one(rng):
    vectors = np.linalg.qr(rng.normal(size=(6, 2)))[0]
    rest = rng.normal(size=(5, 6))
    trends = Trends((OTHER_PATIENTS, SERIAL), (rng.normal(size=(5, 2)), rng.normal(size=(5, 2))), rest)
    by_gene = trends.by_gene(vectors)
    np.testing.assert_allclose(by_gene.values[0], trends.values[0] @ vectors.T)
    np.testing.assert_allclose(by_gene.values[1], trends.values[1] @ vectors.T + rest)
    assert not Trends()
    assert trends.same_patient
