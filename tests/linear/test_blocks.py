"""What is worked out a few spots or genes at a time equals what is worked out at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.linear import _dispersion, _image_space, _neighbor_covariance, gene_spread, learn_gene_basis
from phg2st_sc.linear._cohort_regression import learn_cohort_regression
from phg2st_sc.linear._dispersion import neighbor_mean
from phg2st_sc.linear._image_space import Standardized
from phg2st_sc.linear._neighbor_covariance import neighbor_covariance
from phg2st_sc.linear._rates import RateScale


@pytest.fixture
def holed(slide):
    """A slide, some spots of which have no count."""
    counts = slide.counts.copy()
    counts[[0, 17, 100]] = 0
    return replace(slide, counts=counts)


def dense_covariance(slide, spread):
    """Sum over pairs of neighbours, all values at once."""
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    used = totals > 0
    counts, totals, positions = slide.counts[used], totals[used], slide.arrays.positions[used]
    root = np.sqrt(np.median(totals))
    values = RateScale.from_counts(counts, totals, spread=spread).whiten(counts, totals) * root
    most = 5.0 * root / np.sqrt(totals)[:, None]
    weight = np.minimum(totals / totals.mean(), 3.0)
    values = np.clip(values, -most, most)
    values = values - weight @ values / weight.sum()
    distance = np.linalg.norm(positions[:, None] - positions, axis=-1)
    pairs = np.where((distance > 0) & (distance < 1.6), np.outer(weight, weight), 0.0)
    return values.T @ (pairs * (used.sum() / pairs.sum())) @ values


@pytest.mark.parametrize("most_genes", [4096, 3])
def test_covariance_of_neighbors_is_summed_over_strips(holed, monkeypatch, most_genes):
    monkeypatch.setattr(_neighbor_covariance, "_BLOCK_VALUES", 1)
    monkeypatch.setattr(_neighbor_covariance, "_LEAST_SPOTS", 50)
    monkeypatch.setattr(_neighbor_covariance, "_MAX_GENES", most_genes)
    spread = np.linspace(0.8, 1.5, holed.counts.shape[1])
    found = neighbor_covariance(holed, spread)
    np.testing.assert_allclose(found @ np.eye(24), dense_covariance(holed, spread), rtol=1e-9, atol=1e-9)
    assert found.n_spots == 193


def test_a_slide_without_counts_teaches_nothing(slide):
    empty = replace(slide, counts=np.zeros_like(slide.counts))
    both = learn_gene_basis([slide, empty], 3)
    np.testing.assert_allclose(both.vectors, learn_gene_basis([slide], 3).vectors, atol=1e-8)
    assert learn_gene_basis([empty], 3) is None


def test_gene_spread_by_a_few_genes_at_a_time(holed, monkeypatch):
    totals = holed.counts.sum(axis=1, dtype=np.float64)
    used = totals > 0
    counts, totals = holed.counts[used], totals[used]
    mean_of = neighbor_mean(holed.arrays.positions[used])
    degree = np.diff(mean_of.indptr)
    residual = RateScale.from_counts(counts, totals).whiten(counts, totals) * np.sqrt(totals)[:, None]
    own = (degree / (degree + 1.0))[:, None] * (residual - mean_of @ residual) ** 2
    monkeypatch.setattr(_dispersion, "_BLOCK_VALUES", 1000)
    np.testing.assert_allclose(gene_spread([holed]), np.sqrt(own[degree > 0].mean(axis=0)), rtol=1e-12)


def test_components_of_some_rows(holed, rng):
    totals = holed.counts.sum(axis=1, dtype=np.float64)
    scale, vectors, rows = RateScale.from_counts(holed.counts, totals), rng.normal(size=(24, 2)), np.array([5, 190, 7])
    expected = scale.whiten(holed.counts[rows], totals[rows]) @ vectors
    np.testing.assert_allclose(scale.components(holed.counts, totals, vectors, rows), expected, rtol=1e-12)


def test_features_are_standardized_and_looked_at_in_blocks(cohort, slide, monkeypatch):
    features = slide.arrays.features
    whole = features.astype(np.float64)
    expected = (whole - whole.mean(axis=0)) / whole.std(axis=0)
    regression = learn_cohort_regression(cohort, n_components=10, seed=0, method="m")
    at_once = regression.predict(features)
    monkeypatch.setattr(_image_space, "_BLOCK_VALUES", 1)  # 64 spots at a time
    values = Standardized.of(features)
    np.testing.assert_allclose(values[:], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(values.columns(slice(2, 4)), expected[:, 2:4], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(values[np.array([3, 1])], expected[[3, 1]], rtol=1e-10, atol=1e-12)
    assert Standardized.of(values) is values
    np.testing.assert_allclose(regression.predict(features), at_once, rtol=1e-9, atol=1e-11)
