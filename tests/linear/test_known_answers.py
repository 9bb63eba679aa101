"""The linear methods against other implementations, closed forms and simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern
from sklearn.linear_model import Ridge

from phg2st_sc import models
from phg2st_sc.linear import _folds, _krige
from phg2st_sc.linear._gaussian import Covariance, Skill
from phg2st_sc.linear._gene_basis import learn_gene_basis
from phg2st_sc.linear._image_regression import _weighted_ridge, learn_cohort_regression
from phg2st_sc.linear._kernels import Kernel, Places
from phg2st_sc.linear._krige import predict_columns
from phg2st_sc.linear._rates import RateScale
from phg2st_sc.linear._working import Working


@pytest.fixture
def field(rng):
    """150 places, 40 prompts with unequal noise, three columns."""
    positions = rng.uniform(0, 15, (150, 2))
    index = np.sort(rng.choice(150, 40, replace=False))
    return Places.of(positions, rng.normal(size=(150, 4))), index, rng.uniform(0.3, 3.0, 40), rng.normal(size=(40, 3))


# --- kriging ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("length_scale", "ratio"), [(4.0, 0.3), (1.5, 2.0)])
def test_kriging_is_scikit_learns_gaussian_process(field, length_scale, ratio):
    places, index, noise, columns = field
    kernel = ConstantKernel(ratio) * Matern(length_scale, nu=0.5) + ConstantKernel(ratio)
    process = GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(places.positions[index], columns)
    mine = predict_columns(places, index, noise, columns, Covariance(Kernel(length_scale), ratio))
    np.testing.assert_allclose(mine, process.predict(places.positions), rtol=1e-8, atol=1e-10)


def test_space_and_image_kernel(field):
    places, index, noise, columns = field
    mine = predict_columns(places, index, noise, columns, Covariance(Kernel(4.0, 0.4), 0.5))
    upper = np.triu_indices(150, 1)
    scale = np.median(cdist(places.image, places.image)[upper])

    def kernel(a, b):
        space = np.exp(-cdist(places.positions[a], places.positions[b]) / 4.0)
        image = np.exp(-cdist(places.image[a], places.image[b]) / scale)
        return 0.5 * (0.6 * space + 0.4 * image + 1.0)

    weights = np.linalg.solve(kernel(index, index) + np.diag(noise), columns)
    np.testing.assert_allclose(mine, kernel(np.arange(150), index) @ weights, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_leave_one_out_is_what_refits_give(field, mix):
    places, index, noise, columns = field
    covariance = Covariance(Kernel(3.0, mix), 0.7)
    quick = covariance.leave_one_out(places[index], noise, columns)
    for left_out in range(index.size):
        keep = np.arange(index.size) != left_out
        refit = predict_columns(places, index[keep], noise[keep], columns[keep], covariance)[index[left_out]]
        np.testing.assert_allclose(quick[left_out], refit, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_moving_neighborhoods_agree_with_the_exact_solution(monkeypatch, rng, mix):
    positions = np.argwhere(np.ones((36, 36))).astype(float)
    image = np.stack([np.sin(positions[:, 0] / 5), np.cos(positions[:, 1] / 7)], axis=1)
    places = Places.of(positions, image)
    index = np.sort(rng.choice(len(positions), 500, replace=False))
    truth = np.sin(positions[:, 0] / 6) + np.cos(positions[:, 1] / 5)
    noise = rng.uniform(0.5, 2.0, 500)
    columns = truth[index, None] + rng.normal(size=(500, 2)) * np.sqrt(noise)[:, None]
    covariance = Covariance(Kernel(5.0, mix), 0.5)
    exact = predict_columns(places, index, noise, columns, covariance)
    monkeypatch.setattr(_krige, "MAX_EXACT", 100)
    local = predict_columns(places, index, noise, columns, covariance)
    assert not np.array_equal(exact, local)
    for column in range(2):
        assert np.corrcoef(exact[:, column], local[:, column])[0, 1] > 0.98
    assert np.abs(exact - local).mean() < 0.15 * exact.std()


@pytest.mark.parametrize("signal", [1.0, np.array([2.0, 0.5, 2.0])])
def test_neighborhood_of_all_prompts_is_exact(monkeypatch, field, signal):
    places, index, noise, columns = field
    covariance = Covariance(Kernel(3.0), 0.7)
    exact = predict_columns(places, index, noise, columns, covariance, signal)
    monkeypatch.setattr(_krige, "MAX_EXACT", 10)
    monkeypatch.setattr(_krige, "NEIGHBORS", 40)
    local = predict_columns(places, index, noise, columns, covariance, signal)
    np.testing.assert_allclose(local, exact, rtol=1e-8, atol=1e-10)


def test_columns_with_ratios_of_their_own(field):
    places, index, noise, columns = field
    signal = np.array([0.2, 1.0, 5.0])
    together = predict_columns(places, index, noise, columns, Covariance(Kernel(3.0), 0.7), signal)
    left_out = Covariance(Kernel(3.0), 0.7).leave_one_out(places[index], noise, columns, signal)
    for c in range(3):
        alone, column = Covariance(Kernel(3.0), 0.7 * signal[c]), columns[:, [c]]
        np.testing.assert_allclose(together[:, [c]], predict_columns(places, index, noise, column, alone), rtol=1e-8)
        np.testing.assert_allclose(left_out[:, [c]], alone.leave_one_out(places[index], noise, column), rtol=1e-8)


def test_skill_by_hand():
    truth, guess, noise = np.array([[2.0], [-2.0], [1.0]]), np.array([[1.0], [-1.0], [0.5]]), np.ones(3)
    skill = Skill.of(truth, guess, noise)
    assert skill.amplitude == pytest.approx(2.0)
    np.testing.assert_allclose(skill.explained, [4.0, 4.0, 1.0])
    nothing = Skill.of(truth, -guess, noise)
    assert nothing.amplitude == 0.1
    assert skill.beats(nothing)
    assert not nothing.beats(skill)
    assert not skill.beats(skill)


# --- the simplest -----------------------------------------------------------------------------------------------------
def test_idw_in_one_line(slide, draw):
    prompts = draw(slide, 25)
    mean = models.IDW(n_neighbors=25, power=2.0).predict(slide.arrays, prompts).mean
    weight = 1 / np.maximum(cdist(slide.arrays.positions, slide.arrays.positions[prompts.index]), 0.5) ** 2
    pooled = weight @ prompts.counts
    share = pooled / pooled.sum(axis=1, keepdims=True)
    panel = prompts.counts.sum() / prompts.totals.sum()
    np.testing.assert_allclose(mean, np.log1p(1e4 * panel * share), rtol=1e-5)


def test_idw_takes_the_nearest_only(slide, draw):
    prompts = draw(slide, 40)
    mean = models.IDW(n_neighbors=1).predict(slide.arrays, prompts).mean
    distance = cdist(slide.arrays.positions, slide.arrays.positions[prompts.index])
    clear = np.sort(distance, axis=1)[:, 0] < np.sort(distance, axis=1)[:, 1]
    nearest = prompts.counts[distance.argmin(axis=1)]
    panel = prompts.counts.sum() / prompts.totals.sum()
    expected = np.log1p(1e4 * panel * nearest / nearest.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(mean[clear], expected[clear], rtol=1e-5)


def test_prompt_mean_is_the_pooled_share(slide, draw):
    prompts = draw(slide, 17)
    mean = models.PromptMean().predict(slide.arrays, prompts).mean
    expected = np.log1p(1e4 * prompts.counts.sum(axis=0) / prompts.totals.sum())
    np.testing.assert_allclose(mean, np.broadcast_to(expected, mean.shape), rtol=1e-5)


# --- image regression -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("alpha", [1.0, 30.0])
def test_ridge_is_scikit_learns(rng, alpha):
    design, values, weight = rng.normal(size=(60, 5)), rng.normal(size=(60, 3)), rng.uniform(0.2, 3.0, 60)
    coefficients, offset, left_out = _weighted_ridge(design, values, weight, alpha)
    theirs = Ridge(alpha=alpha / 5).fit(design, values, sample_weight=weight)
    np.testing.assert_allclose(coefficients, theirs.coef_.T, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(offset, theirs.intercept_, rtol=1e-8, atol=1e-10)
    for row in range(60):
        keep = np.arange(60) != row
        refit = Ridge(alpha=alpha / 5).fit(design[keep], values[keep], sample_weight=weight[keep])
        np.testing.assert_allclose(left_out[row], refit.predict(design[[row]])[0], rtol=1e-6, atol=1e-8)


def test_cohort_regression_finds_the_image_genes(cohort, slide):
    regression = learn_cohort_regression(cohort, n_components=10, seed=0, method="test")
    predicted = regression.predict(slide.arrays.features)
    np.testing.assert_allclose(predicted.mean(axis=0), 0.0, atol=1e-10)
    share = slide.counts / slide.counts.sum(axis=1, keepdims=True)
    r = np.array([np.corrcoef(p, s)[0, 1] for p, s in zip(predicted.T, share.T, strict=True)])
    assert r[8:16].min() > 0.6


# --- the working scale ------------------------------------------------------------------------------------------------
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


@pytest.mark.parametrize(
    "name", ["kriging", "idw", "prompt_mean", "image_ridge", "space_image_kriging", "gene_kriging"]
)
def test_deep_prompts_weigh_more_than_shallow_ones(slide, draw, name):
    """The same odd composition in one prompt moves the prediction less when it comes from 300 counts than from 10,000."""
    prompts = draw(slide, 20)
    share = np.full(24, 1 / 24)
    odd = share.copy()
    odd[0], odd[1] = share[0] * 2.5, share[1] * 0.2
    odd /= odd.sum()

    def predict(first, depth):
        counts = np.tile(share * 3000, (20, 1))
        counts[3] = np.round(first * depth)
        totals = counts.sum(axis=1)
        made = replace(prompts, counts=counts.astype(np.float32), totals=totals)
        return models.create(name).predict(slide.arrays, made).mean.astype(float)

    moved = [np.abs(predict(odd, depth) - predict(share, depth))[:, 0].mean() for depth in (300, 10_000)]
    assert 0 < moved[0] < 0.6 * moved[1]


# --- gene components --------------------------------------------------------------------------------------------------
def test_gene_basis_finds_a_planted_structure(rng):
    n_genes, loadings = 40, np.linalg.qr(rng.normal(size=(40, 2)))[0]
    level = np.full(n_genes, 1 / n_genes)
    # a shift of all genes by their level is no change of composition
    loadings -= np.sqrt(level)[:, None] * (np.sqrt(level) @ loadings)
    positions = np.argwhere(np.ones((20, 20))).astype(float)
    slides = []
    for number in range(3):
        phase = rng.uniform(0, 6, 2)
        scores = np.stack([np.sin(positions[:, 0] / 4 + phase[0]), np.sin(positions[:, 1] / 3 + phase[1])], axis=1)
        rate = np.maximum(level + np.sqrt(level) * ((scores * [0.25, 0.15]) @ loadings.T), 1e-4)
        counts = rng.poisson(2000 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
        arrays = models.SlideArrays(f"s{number}", positions)
        slides.append(
            models.TrainingSlide(
                arrays, counts, counts.sum(axis=1, dtype=float), tuple(f"g{i}" for i in range(n_genes))
            )
        )
    basis = learn_gene_basis(slides, 2).vectors
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-10)
    planted = np.linalg.qr(loadings)[0]
    angles = np.linalg.svd(basis.T @ planted, compute_uv=False)
    assert angles.min() > 0.95


def test_no_more_components_than_there_are(cohort):
    basis = learn_gene_basis(cohort, 100)
    assert basis.vectors.shape[0] == 24
    assert basis.vectors.shape[1] < 24
    assert learn_gene_basis(cohort, 0) is None


# --- folds ------------------------------------------------------------------------------------------------------------
def _gap(positions, index, folds):
    gaps = []
    for fold in np.unique(folds):
        out, kept = positions[index[folds == fold]], positions[index[folds != fold]]
        gaps.append(cdist(out, kept).min(axis=1))
    return float(np.concatenate(gaps).mean())


def test_folds_are_as_hard_as_the_task(rng):
    positions = np.argwhere(np.ones((30, 30))).astype(float)
    scattered = np.sort(rng.choice(900, 90, replace=False))
    block = np.sort(np.argsort(((positions - 5) ** 2).sum(axis=1))[:90])
    easy = _folds.matched_folds(positions, scattered, seed=0)
    hard = _folds.matched_folds(positions, block, seed=0)
    for folds in (easy, hard):
        assert np.unique(folds).tolist() == [0, 1, 2, 3, 4]
        assert np.bincount(folds).min() >= 5
    random_gap = _gap(positions, block, np.random.default_rng(0).permutation(np.arange(90) % 5))
    assert _gap(positions, block, hard) > 1.5 * random_gap
    # scattered prompts: random folds leave gaps like those of the unmeasured spots
    wanted = cdist(np.delete(positions, scattered, axis=0), positions[scattered]).min(axis=1).mean()
    assert _gap(positions, scattered, easy) == pytest.approx(wanted, rel=0.35)


def test_folds_repeat_and_follow_the_seed(rng):
    positions = rng.uniform(0, 20, (200, 2))
    index = np.sort(rng.choice(200, 50, replace=False))
    one = _folds.matched_folds(positions, index, seed=0)
    np.testing.assert_array_equal(one, _folds.matched_folds(positions, index, seed=0))
    assert not np.array_equal(one, _folds.matched_folds(positions, index, seed=1))


def test_fewer_prompts_than_folds(rng):
    positions = rng.uniform(0, 20, (30, 2))
    folds = _folds.matched_folds(positions, np.array([3, 7, 20]), seed=0)
    assert sorted(folds) == [0, 1, 2]
