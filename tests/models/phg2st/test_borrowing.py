"""Priors lent to a slide: their knowledge in its genes, mixed with the slide alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from phg2st_sc import models
from phg2st_sc._arrays import Prompts, SlideArrays, TrainingSlide
from phg2st_sc.linear import GeneBasis, RateScale
from phg2st_sc.linear._field import Field
from phg2st_sc.models.phg2st.borrowing import _before, brought
from phg2st_sc.models.phg2st.knowledge import Knowledge
from phg2st_sc.models.phg2st.lent import Lent

OTHER = tuple(f"h{number}" for number in range(16))


@pytest.fixture(scope="module")
def prior(make_training):
    slides = [make_training(seed) for seed in range(5)]
    return models.create("phg2st", n_components=5, use_network=False).fit(slides).prior(name="mine")


@pytest.fixture(scope="module")
def slide(make_training):
    return make_training(21)


@pytest.fixture(scope="module")
def prompts(slide):
    return slide.prompts(np.arange(0, slide.arrays.n_spots, 9), target_sum=1e4)


def helped(prior, genes, *, image=True, asked=True):
    return models.create("phg2st").borrow([prior.lend("mine", genes, image=image, asked=asked)])


def skill(slide, prompts, method):
    rate = np.log1p(slide.counts / slide.totals[:, None] * 1e4)
    made = method.predict(slide.arrays, prompts).mean
    held_out = np.setdiff1d(np.arange(slide.arrays.n_spots), prompts.index)
    return np.mean([np.corrcoef(rate[held_out, g], made[held_out, g])[0, 1] for g in range(rate.shape[1])])


def test_a_prior_of_the_tissue_helps(prior, slide, prompts):
    alone = skill(slide, prompts, models.create("phg2st"))
    assert skill(slide, prompts, helped(prior, prior.genes)) > alone + 0.03


def test_a_prior_whose_genes_are_not_there_changes_no_bit(prior, slide, prompts):
    method = helped(prior, [""] * 16)
    alone = models.create("phg2st").predict(slide.arrays, prompts)
    made = method.predict(slide.arrays, prompts)
    np.testing.assert_array_equal(made.mean, alone.mean)
    assert made.details["shares"] == {"slide": [1.0]}


def test_a_prior_with_its_genes_mixed_up_does_no_harm(prior, slide, prompts):
    mixed_up = np.random.default_rng(0).permutation(np.array(prior.genes))
    alone = skill(slide, prompts, models.create("phg2st"))
    assert skill(slide, prompts, helped(prior, mixed_up)) > alone - 0.02


def test_genes_that_no_prior_knows_go_by_the_slide_alone(prior, slide, prompts):
    known = [gene if number < 10 else "" for number, gene in enumerate(prior.genes)]
    made = helped(prior, known).predict(slide.arrays, prompts)
    alone = models.create("phg2st").predict(slide.arrays, prompts).mean
    mixed = [np.corrcoef(made.mean[:, gene], alone[:, gene])[0, 1] for gene in range(16)]
    assert min(mixed[10:]) > 0.98
    assert min(mixed[:10]) < min(mixed[10:])
    assert made.details["priors"]["mine"]["n_genes"] == 10


def test_order_of_genes_and_some_of_them_say_the_same(prior, slide, prompts):
    method = helped(prior, prior.genes)
    whole = method.predict(slide.arrays, prompts).mean
    few = np.array([3, 7, 11])
    np.testing.assert_array_equal(method.predict_genes(slide.arrays, prompts, few).mean, whole[:, few])
    turned = np.arange(16)[::-1]
    other = Prompts(
        prompts.index, prompts.counts[:, turned], prompts.totals, 1e4, tuple(np.array(prompts.genes)[turned])
    )
    np.testing.assert_allclose(method.predict(slide.arrays, other).mean[:, turned], whole, atol=2e-3)


def test_left_out_prompts_do_not_tell_a_prior_its_levels(prior, slide, prompts, monkeypatch):
    seen = []
    told = Lent.to
    monkeypatch.setattr(Lent, "to", lambda self, shown: seen.append(shown.n_prompts) or told(self, shown))
    helped(prior, prior.genes).predict(slide.arrays, prompts)
    assert seen[0] == prompts.n_prompts
    assert len(seen) > 1
    assert max(seen[1:]) < prompts.n_prompts


def test_only_prompts_are_read(prior, slide, prompts):
    noise = np.random.default_rng(1).poisson(50, slide.counts.shape).astype(np.float32)
    noise[prompts.index] = slide.counts[prompts.index]
    other = replace(slide, counts=noise)
    made = helped(prior, prior.genes).predict(slide.arrays, prompts).mean
    again = helped(prior, prior.genes).predict(other.arrays, other.prompts(prompts.index, target_sum=1e4)).mean
    assert slide.totals is other.totals
    np.testing.assert_array_equal(made, again)


def test_where_counts_are_too_few_to_compare_levels_a_prior_counts_if_it_was_named(prior, slide):
    few = slide.prompts(np.array([5, 60, 100]), target_sum=1e4)
    few = replace(few, counts=np.floor(few.counts / few.counts.sum() * 500), totals=np.full(3, 400.0))
    for asked, weight, more in ((True, 0.6, 0.15), (False, 0.0, 0.0)):
        details = helped(prior, prior.genes, asked=asked).predict(slide.arrays, few).details
        assert "level_agreement" not in details["priors"]["mine"]
        assert details["shares"]["mine"] == [weight]
        lent = prior.lend("mine", prior.genes, image=True, asked=asked).to(few)
        assert _before([lent], few=False).tolist() == [1.0 - more, more]


def test_few_prompts_and_two_priors(prior, slide):
    few = slide.prompts(np.array([5, 60, 100]), target_sum=1e4)
    lent = [prior.lend(name, prior.genes, image=True, asked=True) for name in ("one", "two")]
    made = models.create("phg2st").borrow(lent).predict(slide.arrays, few)
    shares = made.details["shares"]
    assert list(shares) == ["slide", "one", "two"]
    assert sum(one[0] for one in shares.values()) == pytest.approx(1.0)
    assert np.isfinite(made.mean).all()


def test_the_covariance_of_the_genes_that_are_there_is_kept():
    rng = np.random.default_rng(0)
    vectors = np.linalg.qr(rng.normal(size=(12, 4)))[0]
    variance, levels = np.array([4.0, 2.0, 1.0, 0.5]), rng.dirichlet(np.ones(12))
    knowledge = Knowledge(levels, np.ones(12), GeneBasis(vectors, variance), share=0.3)
    counts = rng.poisson(400 * levels, size=(20, 12)).astype(np.float32)
    extra = np.zeros((20, 3), dtype=np.float32)  # genes that the prior does not know, and that hold half of the counts
    extra[:] = counts[:, :8].sum(axis=1, keepdims=True) / 3
    there = np.hstack([counts[:, :8], extra])
    genes = tuple(f"g{number}" for number in range(8)) + ("x", "y", "z")
    prompts = Prompts(np.arange(20), there, there.sum(axis=1, dtype=np.float64), 1.0, genes)
    fitted = Lent("p", tuple(f"g{number}" for number in range(12)), knowledge).to(prompts)
    basis = fitted.knowledge.basis
    np.testing.assert_allclose(basis.vectors.T @ basis.vectors, np.eye(basis.vectors.shape[1]), atol=1e-10)
    made = (basis.vectors * basis.variance) @ basis.vectors.T
    wanted = (vectors * variance)[:8] @ vectors[:8].T * 0.5 / levels[:8].sum()
    np.testing.assert_allclose(made[:8, :8], wanted, atol=1e-6)
    assert not made[8:].any()
    component = rng.normal(size=(5, 4))  # as an image regression has it
    np.testing.assert_allclose(
        component @ fitted.turn @ basis.vectors[:8].T,
        component @ vectors[:8].T * np.sqrt(0.5 / levels[:8].sum()),
        atol=1e-6,
    )
    assert fitted.knowledge.levels.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(fitted.knowledge.share * fitted.knowledge.levels[:8], 0.3 * levels[:8], rtol=1e-6)


def test_whitened_rates_on_another_scale_are_the_same_rates():
    rng = np.random.default_rng(0)
    own = RateScale(rng.uniform(0.1, 1, 6), rng.uniform(0.5, 2, 6))
    other = RateScale(rng.uniform(0.1, 1, 6), None)
    values = np.abs(rng.normal(size=(4, 6)))
    made = brought(Field.of(values), own, other).whole()
    rates = values * own.spread * np.sqrt(own.level) + own.level
    np.testing.assert_allclose(made * np.sqrt(other.level) + other.level, rates)


def cells_and_section(n_cells=600, seed=0):
    """Cells of four types, and a section whose spots hold eight cells each, of types that vary over the tissue."""
    rng = np.random.default_rng(seed)
    profiles = (rng.gamma(0.5, size=120) + 0.05) * np.exp(rng.normal(scale=0.7, size=(4, 120)))
    profiles /= profiles.sum(axis=1, keepdims=True)
    kinds = rng.integers(4, size=n_cells)
    cells = rng.poisson(profiles[kinds] * rng.gamma(4, 300, size=(n_cells, 1))).astype(np.float32)
    x, y = np.meshgrid(np.arange(16), np.arange(14))
    places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    fields = np.cos(places @ rng.normal(scale=0.35, size=(2, 4)) + rng.uniform(0, 6, 4))
    share = np.exp(1.5 * fields)
    mixed = np.array([rng.multinomial(8, one) / 8 for one in share / share.sum(axis=1, keepdims=True)])
    counts = rng.poisson(mixed @ profiles * rng.gamma(4, 300, size=(len(places), 1))).astype(np.float32)
    genes = tuple(f"g{number}" for number in range(120))
    slide = TrainingSlide(SlideArrays("s", places), counts, counts.sum(axis=1, dtype=np.float64), genes)
    return cells, slide


@pytest.mark.parametrize("seed", range(3))
def test_single_cells_help(seed):
    cells, slide = cells_and_section(seed=seed)
    prior = models.PHG2ST.of_cells(cells, slide.genes, n_components=10, name="cells")
    assert prior.card["prior"]["n_cells"] == 600
    prompts = slide.prompts(np.arange(0, slide.arrays.n_spots, 8), target_sum=1e4)
    made = models.create("phg2st").borrow([prior.lend("cells", prior.genes, image=False, asked=True)])
    assert skill(slide, prompts, made) > skill(slide, prompts, models.create("phg2st")) + 0.01


def test_components_of_cells_are_those_of_their_types():
    cells, slide = cells_and_section(n_cells=4000)
    basis = models.PHG2ST.of_cells(sparse.csr_matrix(cells), slide.genes, n_components=10)._knowledge.basis
    assert basis.variance[2] > 20 * basis.variance[3]  # four types differ in three directions
    with pytest.raises(ValueError, match="do not vary beyond counting noise"):
        models.PHG2ST.of_cells(np.full((3, 5), 4.0, dtype=np.float32), ["a", "b", "c", "d", "e"], n_components=2)


def test_cells_vary_more_than_spots():
    cells, slide = cells_and_section(seed=1)
    prior = models.PHG2ST.of_cells(cells, slide.genes, n_components=3)
    lent = prior.lend("cells", prior.genes, image=False, asked=True)
    among_cells = prior._knowledge.basis.variance.sum()
    for step, share in ((4, 0.6), (60, 0.11)):
        prompts = slide.prompts(np.arange(0, slide.arrays.n_spots, step), target_sum=1e4)
        fitted = lent.to(prompts).knowledge.basis.variance.sum()
        assert 0.01 < fitted / among_cells < share
