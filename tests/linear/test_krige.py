"""Kriging against other implementations and refits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from phg2st_sc.linear._gaussian import Covariance, Skill
from phg2st_sc.linear._kernels import Kernel
from phg2st_sc.linear._krige import predict_columns


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
