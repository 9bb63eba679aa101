"""The simple methods against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from phg2st_sc import models
from phg2st_sc.linear import GeneBasis
from phg2st_sc.models.simple import _kriging_base


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


def test_of_very_many_prompts_a_system_serves_components_of_like_signal(slide, draw, monkeypatch):
    seen = []

    def kriged(places, index, noise, columns, covariance, signal=1.0):
        seen.append(np.atleast_1d(signal))
        return krige_columns(places, index, noise, columns, covariance, signal)

    krige_columns = _kriging_base.krige_columns
    monkeypatch.setattr(_kriging_base, "krige_columns", kriged)
    model, prompts = models.create("kriging"), draw(slide, 25)
    model.basis = GeneBasis(np.eye(24, 5), np.array([3.0, 2.5, 1.0, 0.7, 0.5]) / 1000)
    for most in (25, 24):
        monkeypatch.setattr(_kriging_base, "MAX_EXACT", most)
        model.predict(slide.arrays, prompts)
    one, _, many, _ = seen
    assert (np.log2(one) % 1 != 0).any()
    np.testing.assert_array_equal(many, 2.0 ** np.round(np.log2(one)))
