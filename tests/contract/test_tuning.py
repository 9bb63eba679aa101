"""Methods that are tuned to a slide by its prompts."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from forms import COHORT, NETWORKS, predict

from phg2st_sc import models
from phg2st_sc.models.published._method import NetworkMethod


@pytest.mark.parametrize("name", COHORT)
def test_tuning_to_a_slide_leaves_the_method_as_it_was(fitted_models, slide, draw, name):
    prompts = draw(slide, 30)
    model = fitted_models[name]
    before = model.predict(slide.arrays, prompts).mean
    tuned = model.adapt(slide.arrays, prompts)
    moved = tuned.predict(slide.arrays, prompts).mean
    np.testing.assert_array_equal(model.predict(slide.arrays, prompts).mean, before)
    if issubclass(models.get_method(name), NetworkMethod):
        assert np.abs(moved - before).max() > 0.01
        np.testing.assert_array_equal(tuned.predict(slide.arrays, prompts).mean, moved)


@pytest.mark.parametrize("name", NETWORKS)
def test_prompts_are_asked_whether_to_tune(fitted_models, make_slide, draw, tmp_path, name):
    """As users call it, who leave ``fine_tune`` alone; a model from a folder decides as the one that was saved."""
    model = copy.copy(fitted_models[name])
    model.fine_tune, model.fine_tune_lr = None, 1e-3
    new = make_slide(11)
    counts = new.counts.copy()
    counts[:, :8] = counts[:, 8:16]  # genes that the cohort knows nothing of follow the image here
    prompts = draw(replace(new, counts=counts), 60)
    prediction = predict(model, new.arrays, prompts)
    assert prediction.details["fine_tuned"] == 10
    np.testing.assert_array_equal(predict(model, replace(new.arrays), prompts).mean, prediction.mean)
    loaded = models.load(model.save(tmp_path / "model"))
    for seed in range(5):
        as_trained = draw(make_slide(20 + seed), 12)
        slide = make_slide(20 + seed).arrays
        expected = predict(model, slide, as_trained)
        found = predict(models.load(tmp_path / "model"), slide, as_trained)
        assert found.details["fine_tuned"] == expected.details["fine_tuned"]
        np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(predict(loaded, new.arrays, prompts).mean, prediction.mean)


@pytest.mark.parametrize("name", NETWORKS)
def test_tuning_takes_genes_that_a_slide_lacks_for_unknown(fitted_models, slide, draw, name):
    """Prompts of a slide that lacks a third of the genes teach of the others about what they teach with all genes."""
    model = copy.copy(fitted_models[name])
    model.fine_tune_lr = 3e-3
    whole = draw(slide, 60)
    lacking = np.arange(0, whole.n_genes, 3)
    counts = whole.counts.copy()
    counts[:, lacking] = 0
    there = np.delete(np.arange(whole.n_genes), lacking)

    def moved(prompts):
        if name == "bleep":  # what it retrieves jumps; what it retrieves from does not
            return model.adapt(slide.arrays, prompts)._trained.extra["bank"][-whole.n_prompts :, there].mean(axis=0)
        change = predict(model, slide.arrays, prompts).mean - model.predict(slide.arrays, prompts).mean
        return change[:, there].mean(axis=0)

    expected = moved(whole)
    as_unknown, as_zeros = moved(replace(whole, counts=counts, lacking=lacking)), moved(replace(whole, counts=counts))
    assert np.abs(as_unknown - expected).mean() < 0.7 * np.abs(as_zeros - expected).mean()
