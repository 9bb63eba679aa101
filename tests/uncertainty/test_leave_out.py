"""Prompts that are left out are predicted as if they had not been measured, by every method."""

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.linear import Working
from phg2st_sc.models import create
from phg2st_sc.uncertainty import assess, leave_out


def alone(name):
    return create(name)


@pytest.fixture
def slide_and_prompts(make_training, rng):
    section = make_training(0)
    chosen = np.sort(rng.choice(section.arrays.n_spots, 30, replace=False))
    return section.arrays, section.prompts(chosen, target_sum=1e4)


def other_counts(prompts, which, rng):
    counts = prompts.counts.copy()
    counts[which] = rng.poisson(3.0, size=counts[which].shape)
    return replace(prompts, counts=counts, totals=prompts.totals + counts.sum(axis=1) - prompts.counts.sum(axis=1))


@pytest.mark.parametrize("name", ["kriging", "idw", "gene_kriging"])
def test_a_fold_is_predicted_from_the_others_alone(name, slide_and_prompts, rng):
    slide, prompts = slide_and_prompts
    before = leave_out(alone(name), slide, prompts, seed=0)
    here = before.folds == before.folds[0]
    which = np.searchsorted(prompts.index, before.spots[here])
    after = leave_out(alone(name), slide, other_counts(prompts, which, rng), seed=0)
    np.testing.assert_array_equal(after.rate[here], before.rate[here])
    assert not np.array_equal(after.rate[~here], before.rate[~here])
    assert not np.array_equal(after.counts[here], before.counts[here])


def test_rates_are_those_of_predicting_without_the_fold(slide_and_prompts):
    slide, prompts = slide_and_prompts
    found = leave_out(alone("kriging"), slide, prompts, seed=0)
    np.testing.assert_allclose(found.rate.sum(axis=1), 1.0, rtol=1e-5)
    out = found.folds == 2
    kept = np.flatnonzero(~np.isin(prompts.index, found.spots[out]))
    mean = alone("kriging").predict(slide, prompts.subset(kept)).mean[found.spots[out]]
    rate = np.expm1(mean.astype(np.float64))
    np.testing.assert_allclose(found.rate[out], rate / rate.sum(axis=1, keepdims=True), rtol=1e-4, atol=1e-7)


def test_the_default_left_prompts_out_anyway(slide_and_prompts):
    slide, prompts = slide_and_prompts
    made = alone("phg2st").predict(slide, prompts)
    asked = leave_out(alone("phg2st"), slide, prompts, seed=0)
    order, other = (np.argsort(one.spots) for one in (made.left_out, asked))
    np.testing.assert_array_equal(made.left_out.spots[order], asked.spots[other])
    np.testing.assert_array_equal(made.left_out.counts[order], asked.counts[other])
    np.testing.assert_array_equal(made.left_out.folds[order], asked.folds[other])
    a, b = (np.log(one.rate[by]).ravel() for one, by in ((made.left_out, order), (asked, other)))
    assert np.corrcoef(a, b)[0, 1] > 0.99  # weights of the stack are learned from fewer prompts in one of the two


def test_the_defaults_folds_know_nothing_of_their_counts(slide_and_prompts, rng):
    slide, prompts = slide_and_prompts
    slide = replace(slide, features=None)
    before = alone("phg2st").predict(slide, prompts).left_out
    here = before.folds == 1
    changed = other_counts(prompts, np.searchsorted(prompts.index, before.spots[here]), rng)
    after = alone("phg2st").predict(slide, changed).left_out
    np.testing.assert_array_equal(after.rate[here], before.rate[here])


def test_what_is_open_at_left_out_prompts_is_given_the_other_folds(slide_and_prompts):
    slide, prompts = slide_and_prompts
    made = alone("kriging").predict(slide, prompts)
    found = leave_out(alone("kriging"), slide, prompts, seed=0)
    open_there = made.posterior.at_left_out(found)
    every = made.posterior.open(found.spots)
    assert (open_there > every).all()
    assert Working.of(prompts).index.size == made.posterior.prompts.size


def test_too_few_prompts_leave_none_out(slide_and_prompts):
    slide, prompts = slide_and_prompts
    assert leave_out(alone("kriging"), slide, prompts.subset(np.arange(9)), seed=0) is None


def test_genes_are_taken_with_the_totals_of_the_panel(slide_and_prompts):
    slide, prompts = slide_and_prompts
    found = leave_out(alone("kriging"), slide, prompts, seed=0)
    few = found.take(np.array([4, 2]))
    np.testing.assert_array_equal(few.totals, found.counts.sum(axis=1))
    np.testing.assert_array_equal(few.rate, found.rate[:, [4, 2]])
    np.testing.assert_allclose(few.level, found.level[[4, 2]])


def test_a_method_that_trains_on_every_slide_leaves_one_fold_out(slide_and_prompts):
    slide, prompts = slide_and_prompts
    slow = create("kriging")
    slow.trains_alone = True
    every = leave_out(create("kriging"), slide, prompts, seed=0)
    once = leave_out(slow, slide, prompts, seed=0)
    np.testing.assert_array_equal(once.spots, every.spots[every.folds == every.folds[0]])
    posterior = slow.predict(slide, prompts).posterior
    expected = posterior.at_left_out(every)[every.folds == every.folds[0]]
    np.testing.assert_allclose(posterior.at_left_out(once), expected)
    made = assess(slow.predict(slide, prompts), slow, slide, prompts, np.arange(prompts.n_genes), seed=0)
    assert np.isfinite(made.std).all()


def test_noise_of_the_genes_counts_however_prompts_were_left_out(make_training):
    slides = [make_training(seed) for seed in range(3)]
    model = create("phg2st", use_network=False).fit(slides)
    bare = create("phg2st", use_network=False, without=["guard"]).fit(slides)
    new = make_training(9)
    prompts = new.prompts(np.arange(0, new.arrays.n_spots, 4), target_sum=1e4)
    stds = []
    for one in (model, bare):
        made = one.predict(new.arrays, prompts)
        assert made.posterior.spread is not None
        stds.append(assess(made, one, new.arrays, prompts, np.arange(prompts.n_genes), seed=0).std.mean(axis=0))
    assert bare.predict(new.arrays, prompts).left_out is None
    assert model.predict(new.arrays, prompts).left_out is not None
    np.testing.assert_allclose(stds[0], stds[1], rtol=0.35)
