"""Image regression against scikit-learn's, and on planted genes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from phg2st_sc.linear._cohort_regression import learn_cohort_regression
from phg2st_sc.linear._image_regression import _weighted_ridge


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
