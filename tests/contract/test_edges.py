"""Prompts and slides at the edge: what a prediction comes to there."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from forms import create, every_form, only_genes, predict

from phg2st_sc import models


@every_form
@pytest.mark.parametrize("n_prompts", [1, 2, 3, 4, 5, 6, 7, 11])
def test_few_prompts(make, slide, draw, name, fitted, n_prompts):
    if not fitted and n_prompts < models.get_method(name).min_prompts:
        pytest.skip("refused before the method is asked")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = predict(make(name, fitted), slide.arrays, draw(slide, n_prompts)).mean
    assert np.isfinite(mean).all()


@every_form
def test_all_spots_are_prompts(make, slide, draw, name, fitted):
    mean = predict(make(name, fitted), slide.arrays, draw(slide, slide.arrays.n_spots)).mean
    assert np.isfinite(mean).all()


@every_form
def test_two_genes(cohort, slide, draw, name, fitted):
    model = create(name)
    if fitted:
        model.fit([only_genes(s, 2) for s in cohort])
    mean = predict(model, slide.arrays, draw(only_genes(slide, 2), 20)).mean
    assert mean.shape == (slide.arrays.n_spots, 2)
    assert np.isfinite(mean).all()


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


@every_form
def test_prompts_without_a_count_in_the_panel(make, slide, draw, name, fitted):
    prompts = draw(slide, 12)
    empty = replace(prompts, counts=np.zeros_like(prompts.counts))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean = predict(make(name, fitted), slide.arrays, empty).mean
    assert np.isfinite(mean).all()


@every_form
def test_features_that_say_nothing(make, slide, draw, name, fitted):
    """A white image: every spot looks the same."""
    flat = replace(slide.arrays, features=np.ones_like(slide.arrays.features))
    mean = predict(make(name, fitted), flat, draw(slide, 20)).mean
    assert np.isfinite(mean).all()


@every_form
def test_two_spots_at_one_place(make, slide, draw, name, fitted):
    positions = slide.arrays.positions.copy()
    positions[1::2] = positions[0::2]
    mean = predict(make(name, fitted), replace(slide.arrays, positions=positions), draw(slide, 20)).mean
    assert np.isfinite(mean).all()
