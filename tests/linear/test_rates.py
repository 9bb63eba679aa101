"""The working scale: counts whitened, and rates got back."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.linear._rates import RateScale
from phg2st_sc.linear._working import Working


@pytest.mark.parametrize("total", [500.0, 20_000.0])
def test_noise_variance_is_one_over_the_total(rng, total):
    level = np.array([0.6, 0.25, 0.1, 0.05])
    counts = rng.poisson(total * level, size=(40_000, 4)).astype(np.float32)
    whitened = RateScale(level).whiten(counts, np.full(40_000, total))
    np.testing.assert_allclose(whitened.var(axis=0) * total, 1.0, rtol=0.03)
    np.testing.assert_allclose(whitened.mean(axis=0) * np.sqrt(total), 0.0, atol=0.02)


def test_rates_undo_whitening_above_the_level():
    scale = RateScale(np.array([0.5, 0.3, 0.2]))
    counts, totals = np.array([[60.0, 35.0, 22.0]], dtype=np.float32), np.array([100.0])
    np.testing.assert_allclose(scale.rates(scale.whiten(counts, totals)), counts / 100, rtol=1e-6)


def test_rates_are_positive_and_rise():
    scale = RateScale(np.array([0.01]))
    whitened = np.linspace(-5, 5, 400)[:, None]
    rates = scale.rates(whitened)
    assert (rates > 0).all()
    assert (np.diff(rates[:, 0]) > 0).all()
    np.testing.assert_allclose(scale.rates(np.zeros((1, 1))), 0.01)


def test_prior_levels_weigh_as_many_counts():
    counts, totals = np.array([[10.0, 90.0]], dtype=np.float32), np.array([100.0])
    scale = RateScale.from_counts(counts, totals, prior=np.array([0.5, 0.5]), prior_counts=300.0)
    np.testing.assert_allclose(scale.level, [160 / 400, 240 / 400])


def test_whitened_of_undoes_finish(slide, draw):
    working = Working.of(draw(slide, 30))
    whitened = np.abs(np.random.default_rng(0).normal(size=(5, 24))) * 0.01
    there = working.whitened_of(working.finish(whitened))
    # the composition is kept: rates before and after are proportional
    ratio = working.scale.rates(there) / working.scale.rates(whitened)
    np.testing.assert_allclose(ratio / ratio[:, :1], 1.0, rtol=2e-3)
