"""Prompts and slides at the edge, each against the limit that is known there.

`LINEAR` are the forms without a network. What a network makes of an edge is learned in a few steps here: it is held to
looser limits, and where a limit is none of a network's by design, to none.
"""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from forms import FORMS, create, every_form, form_marks, only_genes, predict
from planted import held_out_pcc
from small_networks import SMALL

from phg2st_sc.linear import PRIOR_COUNTS, Working, prompt_gene_basis
from phg2st_sc.models import get_method

LINEAR = [(name, fitted) for name, fitted in FORMS if name not in SMALL]
TRAINED_NETWORKS = [(name, fitted) for name, fitted in FORMS if fitted and name in SMALL]
every_linear_form = form_marks(LINEAR)


def rates(mean):
    return np.expm1(mean.astype(float))


def panel(prompts):
    """Expression of all genes of the panel together, as pooled over the prompts."""
    return 1e4 * prompts.counts.sum() / prompts.totals.sum()


def spread(mean):
    """Mean over genes of how much a prediction varies over the spots."""
    return float(mean.std(axis=0).mean())


def none_of(prompts):
    return prompts.subset(np.zeros(0, dtype=np.int64))


# --- few prompts, and all ---------------------------------------------------------------------------------------------
@every_form
@pytest.mark.parametrize("n_prompts", [1, 2, 3, 4, 5, 6, 7, 11])
def test_few_prompts_set_the_level_of_the_panel(make, slide, draw, name, fitted, n_prompts):
    if not fitted and n_prompts < get_method(name).min_prompts:
        pytest.skip("refused before the method is asked")
    prompts = draw(slide, n_prompts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = predict(make(name, fitted), slide.arrays, prompts).mean
    np.testing.assert_allclose(rates(mean).sum(axis=1), panel(prompts), rtol=0.5 if name in SMALL else 1e-5)


@form_marks([form for form in LINEAR if form[1] or get_method(form[0]).min_prompts <= 1])
def test_a_single_prompt_is_the_level_everywhere(make, slide, draw, name, fitted):
    prompts = draw(slide, 1)
    mean = predict(make(name, fitted), slide.arrays, prompts).mean
    level = predict(make("prompt_mean", fitted), slide.arrays, prompts).mean
    if not fitted:
        np.testing.assert_allclose(level, np.broadcast_to(np.log1p(1e4 * prompts.counts / prompts.totals), level.shape))
        np.testing.assert_allclose(mean, level, rtol=1e-6)
    # a cohort knows more of the spot than its level, yet one prompt among the counts of a prior says little
    assert np.abs(mean - level).mean() < 0.1


@form_marks(TRAINED_NETWORKS)
def test_a_single_prompt_hardly_moves_a_trained_network(make, slide, draw, name, fitted):
    prompts = draw(slide, 1)
    mean = predict(make(name, fitted), slide.arrays, prompts).mean
    assert np.abs(mean - predict(make(name, fitted), slide.arrays, none_of(prompts)).mean).mean() < 0.1


@form_marks([(name, fitted) for name, fitted in LINEAR if name.endswith("kriging") and name != "regression_kriging"])
def test_all_spots_as_prompts_are_kriging_of_all(make, slide, draw, name, fitted):
    """By the formula of Gaussian processes, in one dense system."""
    model, prompts = make(name, fitted), draw(slide, slide.arrays.n_spots)
    prediction = predict(model, slide.arrays, prompts)
    working = Working.of(prompts, prior=model.levels, prior_counts=PRIOR_COUNTS)
    places, found = model.encode(slide.arrays), prediction.details
    basis = model.basis
    if name == "gene_kriging" and not fitted:
        basis = prompt_gene_basis(working.values, working.noise, model.n_prompt_components)
    shape = dense_kernel(places, found["length_scale"], found["mix"])

    def smoothed(columns, ratio, signal):
        out = np.empty_like(columns)
        for column, strength in enumerate(np.broadcast_to(signal, columns.shape[1])):
            covariance = ratio * strength * shape
            weights = np.linalg.solve(covariance + np.diag(working.noise), columns[:, column])
            out[:, column] = covariance @ weights
        return out

    if basis is None:
        whitened = smoothed(working.values, found["ratio"], model._signal(working))
    else:
        columns = working.values @ basis.vectors
        inside = smoothed(columns, found["ratio"], basis.signal(working.depth)) @ basis.vectors.T
        whitened = inside + smoothed(working.values - columns @ basis.vectors.T, model.remainder_ratio, 1.0)
    expected = working.finish(found["amplitude"] * whitened).mean
    np.testing.assert_allclose(prediction.mean, expected, rtol=1e-4, atol=1e-5)


def dense_kernel(places, length_scale, mix):
    """Correlation by place and image, and a level."""
    from scipy.spatial.distance import cdist

    near = np.exp(-cdist(places.positions, places.positions) / length_scale)
    if mix == 0.0:
        return near + 1.0
    unlike = cdist(places.image, places.image)
    alike = np.exp(-unlike / np.median(unlike[np.triu_indices(places.n, 1)]))
    return (1.0 - mix) * near + mix * alike + 1.0


@every_form
def test_all_spots_as_prompts_keep_the_level_of_each_gene(make, slide, draw, name, fitted):
    prompts = draw(slide, slide.arrays.n_spots)
    mean = predict(make(name, fitted), slide.arrays, prompts).mean
    level = (rates(mean) * prompts.totals[:, None]).sum(axis=0) / prompts.totals.sum()
    # a trained network has the level of its cohort, and ten steps of tuning
    rtol = 0.1 if name not in SMALL else (0.5 if fitted else 0.01)
    np.testing.assert_allclose(level, 1e4 * prompts.counts.sum(axis=0) / prompts.totals.sum(), rtol=rtol)


# --- few genes --------------------------------------------------------------------------------------------------------
@every_form
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_one_gene_is_the_whole_panel(cohort, slide, draw, name, fitted):
    model = create(name)
    if fitted:
        model.fit([only_genes(s, 1) for s in cohort[:2]])
    prompts = draw(only_genes(slide, 1), 20)
    mean = predict(model, slide.arrays, prompts).mean
    assert mean.shape == (slide.arrays.n_spots, 1)
    np.testing.assert_allclose(rates(mean)[:, 0], panel(prompts), rtol=0.25 if name in SMALL else 1e-5)


@every_form
def test_two_genes_share_the_panel_as_the_prompts_say(cohort, slide, draw, name, fitted):
    model = create(name)
    if fitted:
        model.fit([only_genes(s, 2) for s in cohort[:2]])
    prompts = draw(only_genes(slide, 2), 20)
    mean = predict(model, slide.arrays, prompts).mean
    assert mean.shape == (slide.arrays.n_spots, 2)
    found = rates(mean).mean(axis=0) / panel(prompts)
    share = prompts.counts.sum(axis=0) / prompts.counts.sum()
    if (name, fitted) in TRAINED_NETWORKS:  # the level of its cohort, and ten steps towards the prompts
        among = [share, *(s.counts[:, :2].sum(axis=0) / s.counts[:, :2].sum() for s in cohort[:2])]
        assert (found > 0.8 * np.min(among, axis=0)).all()
        assert (found < 1.25 * np.max(among, axis=0)).all()
    else:
        np.testing.assert_allclose(found, share, rtol=0.4 if name in SMALL else 0.15)


@every_linear_form
def test_genes_of_one_share_everywhere_stay_in_proportion(make, slide, draw, name, fitted):
    """Two genes without variance; a cohort in which they vary leaves them a part of its own variation."""
    prompts = draw(slide, 40)
    counts = prompts.counts.astype(float)
    others = np.delete(counts, [3, 5], axis=1).sum(axis=1)
    counts[:, 3], counts[:, 5] = 0.03 * others, 0.06 * others
    constant = replace(prompts, counts=counts.astype(np.float32), totals=counts.sum(axis=1) / 0.8)
    found = np.log(rates(predict(make(name, fitted), slide.arrays, constant).mean))
    ratio, other = found[:, 5] - found[:, 3], found[:, 1] - found[:, 0]
    np.testing.assert_allclose(ratio.mean(), np.log(2.0), atol=0.02 if fitted else 1e-5)
    assert ratio.std() < (max(0.4 * other.std(), 1e-5) if fitted else 1e-5)


@every_linear_form
def test_a_gene_that_no_prompt_saw_is_rare(make, slide, draw, name, fitted):
    """At most a count in all; by what a cohort knows, less than a fifth of what it would be with its counts."""
    prompts = draw(slide, 40)
    counts = prompts.counts.copy()
    counts[:, 3] = 0
    unseen = rates(predict(make(name, fitted), slide.arrays, replace(prompts, counts=counts)).mean)[:, 3]
    seen = rates(predict(make(name, fitted), slide.arrays, prompts).mean)[:, 3]
    assert unseen.max() < (0.2 * seen.mean() if fitted else 1e4 / prompts.totals.sum())


# --- depth ------------------------------------------------------------------------------------------------------------
@every_form
def test_hard_prompts(make, slide, draw, name, fitted):
    """One empty prompt, one gene that no prompt saw, one count in all, one spot a thousand times deeper."""
    prompts = draw(slide, 20)
    counts, totals = prompts.counts.copy(), prompts.totals.copy()
    counts[0], totals[0] = 0, 5
    counts[:, 3] = 0
    counts[1], totals[1] = 0, 1
    counts[1, 5] = 1
    counts[2], totals[2] = counts[2] * 1000, totals[2] * 1000
    mean = predict(make(name, fitted), slide.arrays, replace(prompts, counts=counts, totals=totals)).mean
    assert np.isfinite(mean).all()
    assert mean.max() < np.log1p(1e4) + 1


@form_marks([(name, fitted) for name, fitted in [*LINEAR, ("phg2st_paper", True)] if name != "idw"])
def test_an_empty_prompt_is_no_prompt(make, slide, draw, name, fitted):
    """Networks that learn from prompts and neighbours by distance are never handed one: reading drops them."""
    prompts = draw(slide, 30)
    counts, totals = prompts.counts.copy(), prompts.totals.copy()
    counts[4], totals[4] = 0, 5
    with_empty = predict(make(name, fitted), slide.arrays, replace(prompts, counts=counts, totals=totals)).mean
    without = prompts.subset(np.delete(np.arange(30), 4))
    np.testing.assert_allclose(with_empty, predict(make(name, fitted), slide.arrays, without).mean, rtol=1e-6)


@every_form
def test_prompts_without_a_count_in_the_panel_favor_no_gene(make, slide, draw, name, fitted):
    """A model predicts as without prompts; BLEEP by design retrieves also from what is empty."""
    empty = replace(draw(slide, 12), counts=np.zeros((12, slide.counts.shape[1]), dtype=np.float32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = predict(make(name, fitted), slide.arrays, empty).mean
    if not fitted:
        np.testing.assert_allclose(mean, np.broadcast_to(mean[0, 0], mean.shape), rtol=1e-6)
    elif name != "bleep":
        expected = predict(make(name, fitted), slide.arrays, none_of(empty)).mean
        np.testing.assert_allclose(mean, expected, atol=0.2 if name in SMALL else 1e-6)
    assert np.isfinite(mean).all()


@form_marks([form for form in LINEAR if form[0] != "idw"])
def test_one_count_a_prompt_says_little_more_than_the_level(make, slide, draw, name, fitted):
    """Or than the image, to a model that knows what it shows; inverse distances by design take the nearest six as they are."""
    prompts = draw(slide, 40)
    rng, share = np.random.default_rng(0), prompts.counts / prompts.counts.sum(axis=1, keepdims=True)
    counts = np.stack([rng.multinomial(1, row) for row in share.astype(float)]).astype(np.float32)
    shallow = replace(prompts, counts=counts, totals=np.full(40, 1 / 0.8))
    mean = predict(make(name, fitted), slide.arrays, shallow).mean
    known = [predict(make("prompt_mean", fitted), slide.arrays, shallow).mean]
    if fitted:
        known.append(predict(make(name, fitted), slide.arrays, none_of(shallow)).mean)
    assert min(np.abs(mean - level).mean() for level in known) < 0.5


@pytest.mark.parametrize(("name", "fitted"), LINEAR)
def test_a_thousand_times_the_counts_lose_no_contrast(make, slide, draw, name, fitted):
    prompts = draw(slide, 40)
    deep = replace(prompts, counts=prompts.counts * 1000, totals=prompts.totals * 1000)
    usual, deeper = (spread(predict(make(name, fitted), slide.arrays, these).mean) for these in (prompts, deep))
    assert deeper > 0.8 * usual


@every_linear_form
def test_a_spot_that_outweighs_all_others_cannot_outweigh_them_more(make, slide, draw, name, fitted):
    def with_depth(factor):
        prompts = draw(slide, 40)
        counts, totals = prompts.counts.copy(), prompts.totals.copy()
        counts[2], totals[2] = counts[2] * factor, totals[2] * factor
        return predict(make(name, fitted), slide.arrays, replace(prompts, counts=counts, totals=totals)).mean

    assert np.abs(with_depth(1e3) - with_depth(1e6)).mean() < 0.15


# --- the image --------------------------------------------------------------------------------------------------------
def white(arrays):
    """Every spot and every tile looks the same."""
    flat = np.ones_like(arrays.features)
    return replace(arrays, features=flat, tiles=flat)


def blind(arrays):
    return replace(arrays, features=None, tiles=None, context_index=None)


WITHOUT_IMAGE = {"image_ridge": "prompt_mean", "space_image_kriging": "kriging", "regression_kriging": "kriging"}
"""What methods come to that refuse a slide without an image; trained, they krige gene components."""


@every_linear_form
def test_a_white_image_is_no_image(make, slide, draw, name, fitted):
    """To the bit for methods that look at none; the others give their level to places that all look alike."""
    prompts = draw(slide, 40)
    found = predict(make(name, fitted), white(slide.arrays), prompts).mean
    other = WITHOUT_IMAGE.get(name, name)
    other = "gene_kriging" if fitted and other == "kriging" and name != "kriging" else other
    expected = predict(make(other, fitted), blind(slide.arrays), prompts).mean
    if not get_method(name).uses_image and not get_method(name).needs_image:
        np.testing.assert_array_equal(found, expected)
    else:
        assert np.abs(found - expected).mean() < 0.06
        assert spread(found) == pytest.approx(spread(expected), rel=0.25, abs=1e-4)


@form_marks([form for form in FORMS if form[0] in SMALL])
def test_a_white_image_tells_a_network_nothing_of_the_genes_it_shows(make, slide, draw, name, fitted):
    """Networks that see no places predict the same everywhere."""
    prompts = draw(slide, 40)
    mean = predict(make(name, fitted), white(slide.arrays), prompts).mean
    if name in ("stnet", "bleep"):
        np.testing.assert_allclose(mean, np.broadcast_to(mean[0], mean.shape), atol=1e-4)
    assert abs(held_out_pcc(mean, slide, prompts)[8:16].mean()) < 0.15


# --- places -----------------------------------------------------------------------------------------------------------
@every_form
def test_spots_that_are_the_same_are_predicted_the_same(make, slide, draw, name, fitted):
    """Two at each place that look alike; of equally near spots a hypergraph takes those first in the table."""

    def twins(values):
        values = values.copy()
        values[1::2] = values[0::2]
        return values

    arrays = slide.arrays
    features = twins(arrays.features)
    doubled = replace(
        arrays,
        positions=twins(arrays.positions),
        features=features,
        tiles=features,
        context_index=twins(arrays.context_index),
    )
    prompts = draw(slide, 20)
    mean = predict(make(name, fitted), doubled, prompts).mean
    unmeasured = ~np.isin(np.arange(arrays.n_spots), prompts.index).reshape(-1, 2).any(axis=1)
    apart = np.abs(mean[1::2] - mean[0::2])[unmeasured]
    if name in ("phg2st", "phg2st_paper", "hggep"):
        assert apart.mean() < 0.1 * spread(mean)
    else:
        np.testing.assert_allclose(apart, 0.0, atol=1e-6)


@every_form
def test_spots_on_a_line_are_predicted_alike_whichever_way_it_lies(make, slide, draw, name, fitted):
    along = np.cumsum(np.random.default_rng(4).uniform(0.8, 1.2, slide.arrays.n_spots))
    prompts, found = draw(slide, 40), []
    for angle in (0.0, 0.6):
        line = np.stack([along * np.cos(angle), along * np.sin(angle)], axis=1)
        found.append(predict(make(name, fitted), replace(slide.arrays, positions=line), prompts).mean)
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-4)
