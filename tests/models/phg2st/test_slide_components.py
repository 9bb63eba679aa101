"""Genes that share their evidence over the prompts of one slide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.linear import Covariance, Kernel, Places
from phg2st_sc.models.phg2st import slide_components
from phg2st_sc.models.phg2st.conditioning import Encoded, condition
from phg2st_sc.models.phg2st.slide_components import MIN_PROMPTS, _squared_cosine

from .conftest import smooth

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
