"""Counts are distributed as they say, and what left-out counts show corrects them."""

import itertools

import numpy as np
import pytest
from scipy.stats import nbinom, poisson

from phg2st_sc.uncertainty.counts import Curves, below, count_interval, quantile


def drawn(rng, mean, excess):
    return rng.poisson(rng.gamma(mean**2 / excess, excess / mean)).astype(float)


def share_within(counts, bounds):
    return ((counts >= bounds[0]) & (counts <= bounds[1])).mean()


def test_gamma_mixed_counts_are_negative_binomial():
    counts, mean, excess = np.arange(6.0), np.full(6, 2.0), np.full(6, 3.0)
    size = 4.0 / 3.0
    np.testing.assert_allclose(below(counts, mean, excess), nbinom.cdf(counts, size, size / (size + 2.0)))
    np.testing.assert_allclose(below(counts, mean, np.zeros(6)), poisson.cdf(counts, 2.0), rtol=1e-4)
    assert below(np.array([-1.0]), mean[:1], excess[:1]) == 0.0


def test_a_quantile_is_the_fewest_counts_that_reach_it(rng):
    mean, excess = rng.gamma(1.0, 5.0, 200), rng.gamma(1.0, 9.0, 200)
    for probability in (0.05, 0.5, 0.95):
        found = quantile(np.full(200, probability), mean, excess)
        assert (below(found, mean, excess) >= probability - 1e-9).all()
        assert (below(found - 1.0, mean, excess) < probability + 1e-9).all()


@pytest.mark.parametrize("told", [0.1, 1.0, 8.0])
def test_counts_that_spread_otherwise_than_told_are_covered(told, rng):
    mean = rng.gamma(2.0, 4.0, (60, 80))
    excess = 0.5 * mean**2
    curves = Curves.of(drawn(rng, mean, excess), mean, told * excess)
    held_out = drawn(rng, mean, excess)
    for level in (0.5, 0.9):
        low, high = (curves.real(below(held_out - back, mean, told * excess), mean) for back in (1.0, 0.0))
        at = low + rng.random(low.shape) * (high - low)
        assert abs((abs(at - 0.5) <= level / 2).mean() - level) < (0.03 if told == 1.0 else 0.08)
        assert (
            share_within(held_out, count_interval(level, mean, told * excess - 0.01 * mean**2, curves)) > level - 0.05
        )


def test_correction_of_what_is_right_changes_little(rng):
    mean = rng.gamma(2.0, 4.0, (60, 80))
    excess = 0.5 * mean**2
    curves = Curves.of(drawn(rng, mean, excess), mean, excess)
    np.testing.assert_allclose(curves.values, Curves.straight().values, atol=0.06)


def test_a_higher_level_is_never_narrower(rng):
    mean = rng.gamma(2.0, 4.0, (20, 30))
    curves = Curves.of(drawn(rng, mean, mean**2), mean, mean**2)
    bounds = [count_interval(level, mean, mean**2, curves) for level in (0.5, 0.8, 0.95, 0.999)]
    for (low, high), (lower, higher) in itertools.pairwise(bounds):
        assert (lower <= low).all()
        assert (higher >= high).all()
