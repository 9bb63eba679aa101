"""Genes that share their evidence over the prompts of one slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from anndata import AnnData
from smooth_slides import smooth

import phg2st_sc
from phg2st_sc.linear import Covariance, Kernel, Places
from phg2st_sc.models.phg2st import slide_components
from phg2st_sc.models.phg2st.conditioning import Encoded, condition
from phg2st_sc.models.phg2st.gene_loadings import own_loadings
from phg2st_sc.models.phg2st.slide_components import MIN_PROMPTS, _squared_cosine

N_GENES = 90
DEPTH = 1000.0
"""Of the prompts that ``make_working`` makes: noise variances are 1 / depth."""


@pytest.fixture(scope="module")
def slide():
    """Places, and the whitened rates of genes that follow two smooth fields."""
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0))
    places = Places.of(np.stack([x.ravel(), y.ravel()], axis=1))
    loadings = np.random.default_rng(2).normal(scale=0.02, size=(2, N_GENES))
    return places, smooth(places.positions, 2, 5) @ loadings


def prompted(slide, make_working, n_prompts, *, signal=1.0, seed=0):
    places, truth = slide
    rng = np.random.default_rng(seed)
    index = np.sort(rng.choice(places.n, n_prompts, replace=False))
    noise = rng.normal(scale=DEPTH**-0.5, size=(n_prompts, N_GENES))
    return make_working(index, signal * truth[index] + noise, np.ones(n_prompts))


def one_by_one(encoded, working):
    return condition(None, encoded, working, gene_covariance=False).whitened


def agreement(found, truth):
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(found.T, truth.T, strict=True)]))


def test_genes_that_go_together_help_each_other(slide, make_working):
    places, truth = slide
    encoded, working = Encoded(places), prompted(slide, make_working, 80)
    unseen = np.setdiff1d(np.arange(places.n), working.index)
    together, alone = condition(None, encoded, working).whitened, one_by_one(encoded, working)
    assert agreement(together[unseen], truth[unseen]) > agreement(alone[unseen], truth[unseen]) + 0.1


def test_directions_of_noise_are_not_trusted(slide, make_working):
    encoded, working = Encoded(slide[0]), prompted(slide, make_working, 80, signal=0.0)
    np.testing.assert_array_equal(condition(None, encoded, working).whitened, one_by_one(encoded, working))


def test_few_prompts_leave_every_gene_to_itself(slide, make_working):
    encoded, working = Encoded(slide[0]), prompted(slide, make_working, MIN_PROMPTS - 1)
    np.testing.assert_array_equal(condition(None, encoded, working).whitened, one_by_one(encoded, working))


def test_what_is_certain_beyond_the_components_stays(slide, make_working):
    """Many strong genes of their own kind each: two or three components cannot hold them, and must not take their place."""
    places, _ = slide
    truth = smooth(places.positions, N_GENES, 9) * 0.1
    encoded, working = Encoded(places), prompted((places, truth), make_working, 60)
    unseen = np.setdiff1d(np.arange(places.n), working.index)
    together, alone = condition(None, encoded, working).whitened, one_by_one(encoded, working)
    assert agreement(together[unseen], truth[unseen]) > agreement(alone[unseen], truth[unseen]) - 0.02


def test_some_genes_are_those_of_all(slide, make_working, monkeypatch):
    from phg2st_sc.linear import _krige

    monkeypatch.setattr(_krige, "MAX_EXACT", 40)
    monkeypatch.setattr(_krige, "WIDE", 50)
    working = prompted(slide, make_working, 120)
    field = condition(None, Encoded(slide[0]), working).prediction
    few = slice(20, 33)
    np.testing.assert_allclose(field.narrow(few).whole(), field.whole()[:, few], rtol=2e-3, atol=1e-6)


def test_components_of_part_of_the_prompts(slide, make_working, monkeypatch):
    encoded, working = Encoded(slide[0]), prompted(slide, make_working, 160)
    whole = condition(None, encoded, working).whitened
    monkeypatch.setattr(slide_components, "_MOST_VALUES", 80 * N_GENES)
    assert agreement(condition(None, encoded, working).whitened, whole) > 0.95


def test_prompts_of_no_difference_are_no_components(slide, make_working):
    working = prompted(slide, make_working, 40)
    flat = condition(None, Encoded(slide[0]), replace(working, values=np.zeros_like(working.values))).whitened
    np.testing.assert_array_equal(flat, 0.0)


def test_squared_cosines_are_those_of_drawn_directions():
    rng = np.random.default_rng(0)
    n_prompts, n_genes, strength = 200, 400, 6.0
    true = np.eye(n_genes)[0]
    found, expected = [], []
    for _ in range(5):
        values = rng.normal(size=(n_prompts, n_genes)) + np.sqrt(strength) * rng.normal(size=(n_prompts, 1)) * true
        _, singular, right = np.linalg.svd(values, full_matrices=False)
        found.append((right[0] @ true) ** 2)
        expected.append(_squared_cosine(singular[:2] ** 2 / n_prompts, n_genes / n_prompts))
    assert np.mean(expected, axis=0)[0] == pytest.approx(np.mean(found), abs=0.03)
    assert np.mean(expected, axis=0)[1] < 0.2


def test_components_find_the_length_scale(rng):
    x, y = np.meshgrid(np.arange(24.0), np.arange(24.0))
    index = np.sort(rng.choice(576, 150, replace=False))
    prompts = Places.of(np.stack([x.ravel(), y.ravel()], axis=1)[index])
    start = Covariance(Kernel(1.5, 0.0, 4.0), 0.06)
    columns = smooth(prompts.positions / 6.0, 2, 5) + 0.3 * rng.normal(size=(150, 2))
    assert slide_components._best_kernel(prompts, np.ones(150), columns, np.ones(2), start, 0.1).length_scale == 8.0
    noise = rng.normal(size=(150, 2))
    assert slide_components._best_kernel(prompts, np.ones(150), noise, np.ones(2), start, 0.1) == start.kernel
    few = prompts[np.arange(50)]
    assert slide_components._best_kernel(few, np.ones(50), columns[:50], np.ones(2), start, 0.1) == start.kernel


def test_genes_without_a_pattern_keep_the_loading_of_all_such_genes(rng):
    """Few genes rise along one gradient, and the shares of all others fall by one factor."""
    n_prompts, n_genes, n_active = 100, 400, 40
    level = rng.lognormal(0.0, 1.0, n_genes)
    flat = np.sqrt(level / level.sum())
    change = np.zeros(n_genes)
    change[:n_active] = rng.choice([0.5, 1.0], n_active)
    true = flat * (change - change @ flat**2)
    weighted = 40.0 * rng.normal(size=(n_prompts, 1)) * true + rng.normal(size=(n_prompts, n_genes))
    weighted -= np.outer(weighted @ flat, flat)  # shares add up to one
    vectors = np.linalg.svd(weighted, full_matrices=False)[2][:1].T
    vectors *= np.sign(vectors[:, 0] @ true)
    loadings, own = own_loadings(weighted, vectors, np.ones(1), flat)
    true /= np.linalg.norm(true)
    still = np.arange(n_genes) >= n_active

    def missed(found, genes):
        return float(((found[genes, 0] - true[genes]) ** 2).sum())

    assert missed(loadings, still) < 0.3 * missed(vectors, still)
    assert missed(loadings, ~still) < 1.5 * missed(vectors, ~still)
    assert own[~still].mean() > 0.6 > 0.3 > own[still].mean()
    np.testing.assert_allclose(flat @ loadings, 0.0, atol=1e-12)
    assert ((own >= 0) & (own <= 1)).all()


def test_genes_that_all_follow_the_components_keep_their_loadings(rng):
    n_prompts, n_genes = 200, 60
    weighted = rng.normal(size=(n_prompts, 2)) @ rng.normal(scale=3.0, size=(2, n_genes))
    weighted += rng.normal(size=weighted.shape)
    vectors = np.linalg.svd(weighted, full_matrices=False)[2][:2].T
    loadings, own = own_loadings(weighted, vectors, np.ones(2), np.full(n_genes, n_genes**-0.5))
    assert own.mean() > 0.9
    np.testing.assert_allclose(loadings, vectors, atol=0.03)


def test_genes_that_hardly_vary_do_not_lose_by_those_that_do(rng):
    """Few genes follow fields; the shares of all others only make room for them, which gene by gene falls out by itself."""
    x, y = np.meshgrid(np.arange(20.0), np.arange(20.0))
    positions = np.stack([x.ravel(), y.ravel()], axis=1)
    change = np.zeros((400, 300))
    change[:, :20] = smooth(positions, 4, 5) @ rng.normal(size=(4, 20))
    rates = np.exp(change) / np.exp(change).sum(axis=1, keepdims=True)
    adata = AnnData(rng.poisson(300 * rates).astype(np.float32), obsm={"spatial": positions * 100.0})
    phg2st_sc.pp.sample_prompts(adata, fraction=0.25, seed=0)
    phg2st_sc.tl.impute(adata, key_added="default", without=["guard"])
    phg2st_sc.tl.impute(adata, key_added="by_gene", without=["guard", "gene_covariance"])
    unseen = ~adata.obs["prompt"].to_numpy()
    truth = np.log(rates[unseen, 20:])
    together, alone = (agreement(adata.layers[key][unseen, 20:], truth) for key in ("default", "by_gene"))
    assert together > alone + 0.3
