"""What every prediction must be: the same bits again, whatever was asked before, on the scale asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from forms import COHORT, create, every_form, predict
from small_networks import SMALL

from phg2st_sc import models
from phg2st_sc.models import Prompts, SlideArrays
from phg2st_sc.models.published._method import NetworkMethod


@every_form
def test_shape_dtype_and_range(make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    prediction = predict(make(name, fitted), slide.arrays, prompts)
    assert prediction.mean.shape == slide.counts.shape
    assert prediction.mean.dtype == np.float32
    assert np.isfinite(prediction.mean).all()
    assert (prediction.mean >= 0).all()
    # the panel has 0.8 of all counts here; all but networks make it so at every spot
    everything = 1e4 * prompts.counts.sum() / prompts.totals.sum()
    rtol = 0.5 if name in SMALL else 0.01
    np.testing.assert_allclose(np.expm1(prediction.mean.astype(float)).sum(axis=1), everything, rtol=rtol)
    std = prediction.std
    assert std is None or (std.shape == slide.counts.shape and std.dtype == np.float32)


@every_form
def test_same_bits_again(fitted_models, make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    first = predict(make(name, fitted), slide.arrays, prompts).mean
    fresh = replace(slide.arrays)  # nothing cached for it
    again = predict(make(name, fitted), fresh, prompts).mean
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("name", COHORT)
def test_training_again_gives_the_same_bits(fitted_models, cohort, slide, draw, name):
    prompts = draw(slide, 30)
    again = create(name).fit(cohort)
    np.testing.assert_array_equal(
        predict(again, slide.arrays, prompts).mean, predict(fitted_models[name], slide.arrays, prompts).mean
    )


@every_form
def test_another_mask_on_the_same_slide(make, slide, draw, name, fitted):
    """What is cached for a slide must not remember its prompts."""
    model = make(name, fitted)
    predict(model, slide.arrays, draw(slide, 60, seed=5))
    after = predict(model, slide.arrays, draw(slide, 25, seed=6)).mean
    np.testing.assert_array_equal(
        after, predict(make(name, fitted), replace(slide.arrays), draw(slide, 25, seed=6)).mean
    )


@every_form
def test_inputs_are_left_alone(make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    kept = [a.copy() for a in (slide.arrays.positions, slide.arrays.features, prompts.counts, prompts.totals)]
    predict(make(name, fitted), slide.arrays, prompts)
    for now, before in zip(
        (slide.arrays.positions, slide.arrays.features, prompts.counts, prompts.totals), kept, strict=True
    ):
        np.testing.assert_array_equal(now, before)


@every_form
def test_measurements_are_not_echoed(make, make_slide, draw, name, fitted):
    """On genes that are pure noise, a prompt's own value may hardly return in the prediction of its place."""
    slide = make_slide(7, depth=400.0)
    prompts = draw(slide, 60)
    prediction = predict(make(name, fitted), slide.arrays, prompts)
    share = prompts.counts / prompts.counts.sum(axis=1, keepdims=True)
    guess = np.expm1(prediction.mean[prompts.index].astype(float))
    guess /= guess.sum(axis=1, keepdims=True)
    noise = slice(16, 24)
    own = (share[:, noise] - share[:, noise].mean(axis=0)).ravel()
    back = (guess[:, noise] - guess[:, noise].mean(axis=0)).ravel()
    assert float(own @ back / (own @ own)) < 0.6
    assert not np.isclose(guess, share, rtol=1e-3).all(axis=1).any()


@every_form
def test_gene_order_does_not_matter(make, slide, draw, cohort, name, fitted):
    if fitted and name != "prompt_mean" and name != "kriging":
        pytest.skip("the panel of a fitted method is fixed in its order")
    if issubclass(models.get_method(name), NetworkMethod):
        pytest.skip("the output of each gene starts at random")
    prompts = draw(slide, 30)
    order = np.random.default_rng(3).permutation(prompts.n_genes)
    turned = replace(prompts, counts=prompts.counts[:, order], genes=tuple(prompts.genes[i] for i in order))
    model = make(name, False)
    np.testing.assert_allclose(
        predict(model, slide.arrays, turned).mean,
        predict(model, slide.arrays, prompts).mean[:, order],
        rtol=1e-4,
        atol=1e-5,
    )


@every_form
def test_target_sum_only_scales(make, slide, draw, name, fitted):
    prompts = draw(slide, 30)
    model = make(name, fitted)
    one = np.expm1(predict(model, slide.arrays, prompts).mean.astype(float))
    ten = np.expm1(predict(model, slide.arrays, replace(prompts, target_sum=1e5)).mean.astype(float))
    np.testing.assert_allclose(ten, 10 * one, rtol=1e-4, atol=1e-3)


def test_prompts_subset(slide):
    prompts = slide.prompts(np.array([9, 2, 5]), target_sum=10.0)
    assert isinstance(prompts, Prompts)
    assert prompts.index.tolist() == [2, 5, 9]
    assert prompts.subset(np.array([2])).index.tolist() == [9]
    np.testing.assert_array_equal(prompts.subset(np.array([2])).counts[0], slide.counts[9])
    assert SlideArrays("a", np.zeros((3, 2))).n_spots == 3
