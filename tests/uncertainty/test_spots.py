"""Errors of rates are as large as left-out prompts say, grow away from the prompts, and tissue of another kind is told."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from phg2st_sc._evidence import LeftOut
from phg2st_sc.linear import Covariance, Kernel, Places, Working, gene_signal, posterior
from phg2st_sc.models import Prompts, SlideArrays, create
from phg2st_sc.uncertainty import assess, leave_out, with_samples
from phg2st_sc.uncertainty.calibration import calibrate
from phg2st_sc.uncertainty.spots import spot_errors, unlike_prompts

N, G, DEPTH = 400, 60, 3000


@pytest.fixture(scope="module")
def field():
    """Places, levels of genes, and what makes Gaussian fields."""
    rng = np.random.default_rng(3)
    positions = np.argwhere(np.ones((20, 20))).astype(float)
    covariance = Covariance(Kernel(6.0), 0.06)
    level = rng.dirichlet(np.full(G, 3.0))
    root = np.linalg.cholesky(covariance.kernel.between(Places(positions), Places(positions)) + 1e-9 * np.eye(N))
    return positions, level, root


def simulated(field, factor, overdispersion=0.0, seed=0):
    positions, level, root = field
    rng = np.random.default_rng(seed)
    whitened = root @ rng.standard_normal((N, G)) * np.sqrt(factor * 0.06 * level)
    rate = np.maximum(level + whitened * np.sqrt(level), level / 50)
    rate /= rate.sum(axis=1, keepdims=True)
    if overdispersion:
        rate = rate * rng.gamma(1 / overdispersion, overdispersion, rate.shape)
        rate /= rate.sum(axis=1, keepdims=True)
    counts = rng.poisson(DEPTH * rate).astype(np.float32)
    return SlideArrays("A", positions), counts, rate


def prompts_of(counts, index):
    chosen = counts[index]
    return Prompts(index, chosen, chosen.sum(axis=1, dtype=float), 1e4, tuple(f"g{i}" for i in range(G)))


def calibrated(field, factor, overdispersion):
    slide, counts, _ = simulated(field, factor, overdispersion)
    index = np.sort(np.random.default_rng(1).choice(N, 80, replace=False))
    prompts = prompts_of(counts, index)
    working = Working.of(prompts)
    known = posterior(Places(slide.positions), working, Covariance(Kernel(6.0), 0.06), 0.06 * gene_signal(working))
    left_out = leave_out(create("kriging"), slide, prompts, seed=0)
    return calibrate(left_out, known, slide.positions, working.scale.level)


def test_rates_that_vary_more_have_larger_errors(field):
    few, many = (calibrated(field, factor, 0.0).rate.mean() for factor in (1.0, 6.0))
    assert many > 1.8 * few


def test_what_single_spots_depart_by_is_told_from_the_error_of_rates(field):
    without, with_it = calibrated(field, 2.0, 0.0), calibrated(field, 2.0, 0.5)
    assert 0.3 < np.median(with_it.spot) < 0.8
    assert np.median(without.spot) < 0.2
    assert with_it.rate.mean() < 5.0 * without.rate.mean()  # all errors together are 20 times as large


def told(slide, counts, index, method="kriging"):
    prompts, estimator = prompts_of(counts, index), create(method)
    made = assess(estimator.predict(slide, prompts), estimator, slide, prompts, np.arange(G), seed=0)
    return made, made.assessment.spots.get("trust")


@pytest.mark.parametrize("method", ["kriging", "idw"])
def test_std_is_what_the_rate_is_wrong_by(field, method):
    slide, counts, rate = simulated(field, 4.0, 0.3)
    index = np.sort(np.random.default_rng(1).choice(N, 80, replace=False))
    made, _ = told(slide, counts, index, method)
    std = made.std
    held_out = np.setdiff1d(np.arange(N), index)
    wrong = (np.expm1(made.mean) - 1e4 * rate)[held_out]
    expected = (std * np.exp(made.mean))[held_out]
    assert 0.65 < np.sqrt((wrong**2).sum() / (expected**2).sum()) < 1.4


def test_far_from_the_prompts_less_is_known(field):
    slide, counts, _ = simulated(field, 4.0)
    corner = np.flatnonzero((slide.positions < 9).all(axis=1))
    made, trust = told(slide, counts, corner)
    relative = (made.std * np.exp(made.mean) / np.sqrt(np.expm1(made.mean))).mean(axis=1)
    far = (slide.positions > 15).all(axis=1)
    assert relative[far].min() > relative[corner].max()
    assert trust[far].max() < trust[corner].min()
    assert 0.0 <= trust.min() <= trust.max() <= 1.0
    assert trust[far].mean() < 0.1


def test_order_of_the_spots_does_not_matter(field):
    slide, counts, _ = simulated(field, 4.0)
    index = np.arange(0, N, 8)
    order = np.random.default_rng(2).permutation(N)
    place = np.argsort(order)
    before = errors_of(slide, counts, index, order=None)
    after = errors_of(SlideArrays("A", slide.positions[order]), counts[order], np.sort(place[index]), order=place)
    np.testing.assert_allclose(after.trust[place], before.trust, atol=1e-4)
    np.testing.assert_allclose(after.calibration.rate, before.calibration.rate, rtol=1e-6)


def errors_of(slide, counts, index, *, order):
    """Of the same left-out prompts, wherever they stand in the slide."""
    prompts, estimator = prompts_of(counts, index), create("kriging")
    made = estimator.predict(slide, prompts)
    folds = np.arange(index.size) % 5 if order is None else np.argsort(order)[index] // 8 % 5
    rate = np.exp(made.mean[index].astype(float))
    left_out = LeftOut(index, folds, prompts.counts, prompts.totals, rate / rate.sum(axis=1, keepdims=True))
    return spot_errors(made, slide, prompts, np.arange(G), left_out, made.posterior)


def test_few_prompts_say_nothing_without_a_model(field):
    slide, counts, _ = simulated(field, 4.0)
    made, trust = told(slide, counts, np.arange(0, 90, 10))
    assert made.std is None
    assert trust is None


def test_tissue_of_another_kind_is_told(rng):
    features = rng.normal(size=(300, 30)).astype(np.float32)
    features[250:] += 6.0
    prompted = np.sort(rng.choice(250, 60, replace=False))
    unlike = unlike_prompts(features, prompted)
    assert unlike[250:].mean() > 0.95
    assert unlike[:250].mean() < 0.15
    assert not unlike[prompted].any()
    seen = unlike_prompts(features, np.append(prompted, [255, 270, 285]))
    assert seen[250:].mean() < 0.5


def alike(field, overdispersion):
    """Correlation of the deviations of neighboring spots in drawn maps."""
    slide, counts, _ = simulated(field, 4.0, overdispersion)
    index = np.sort(np.random.default_rng(1).choice(N, 60, replace=False))
    prompts, estimator = prompts_of(counts, index), create("kriging")
    made = assess(estimator.predict(slide, prompts), estimator, slide, prompts, np.arange(G), seed=0)
    drawn = with_samples(made, 20, seed=0)
    off = np.array([(one.whole() - made.mean) / made.std for one in drawn.samples])
    np.testing.assert_allclose(off.std(), 1.0, atol=0.15)
    first, second = cKDTree(slide.positions).query_pairs(1.1, output_type="ndarray").T
    return (off[:, first] * off[:, second]).mean() / (off**2).mean()


def test_what_single_spots_depart_by_is_drawn_for_each_by_itself(field):
    assert alike(field, 1.0) + 0.2 < alike(field, 0.0) < 1.0
