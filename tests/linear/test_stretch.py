"""Length scales that the prompts ask for: found on any range where there is evidence, the usual ones kept where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.models import Prompts, SlideArrays, create

N_GENES = 40


def section(length, *, n=900, seed=0):
    """Places at random, and counts of a field that changes over ``length`` pitches; an infinite one is flat."""
    rng = np.random.default_rng(seed)
    places = rng.random((n, 2)) * np.sqrt(n)
    programs = np.zeros((n, 4))
    for k in range(4):
        waves = rng.standard_t(2.5, size=(2, 60)) / length
        programs[:, k] = np.cos(places @ waves + 2 * np.pi * rng.random(60)).sum(axis=1) / np.sqrt(30)
    rate = np.exp(programs @ rng.normal(0, 0.5, (4, N_GENES)))
    counts = rng.poisson(20 * rate).astype(np.float32)
    return SlideArrays("a", places), counts, rate


def prompts_at(index, counts):
    index = np.sort(index)
    genes = tuple(f"g{i}" for i in range(N_GENES))
    return Prompts(index, counts[index], counts[index].sum(axis=1).astype(float), 1e4, genes)


def scattered(n_prompts, counts, seed=0):
    return prompts_at(np.random.default_rng(seed).choice(len(counts), n_prompts, replace=False), counts)


def block(n_prompts, slide, counts):
    away = ((slide.positions - slide.positions.mean(axis=0)) ** 2).sum(axis=1)
    return prompts_at(np.argsort(away)[:n_prompts], counts)


def correlation(mean, rate, prompts):
    rest = np.delete(np.arange(len(rate)), prompts.index)
    truth = np.log(rate / rate.sum(axis=1, keepdims=True))[rest]
    return np.mean([np.corrcoef(truth[:, g], mean[rest, g])[0, 1] for g in range(N_GENES)])


@pytest.mark.parametrize("method", ["kriging", "phg2st"])
def test_a_field_that_is_smooth_over_the_slide_has_a_long_scale(method):
    slide, counts, rate = section(60.0)
    prompts = scattered(150, counts)
    made = create(method).predict(slide, prompts)
    usual = create("kriging", length_scale=8.0).predict(slide, prompts)
    assert made.details["length_scale"] > 9.0, "beyond the list of a few pitches"
    assert made.details["length_scale"] <= np.ptp(slide.positions, axis=0).max()
    assert correlation(made.mean, rate, prompts) > correlation(usual.mean, rate, prompts)


def test_a_field_that_changes_from_spot_to_spot_has_a_short_one():
    slide, counts, rate = section(1.5, n=400)
    prompts = scattered(200, counts)
    made = create("kriging").predict(slide, prompts)
    usual = create("kriging", length_scale=3.0).predict(slide, prompts)
    assert made.details["length_scale"] < 3.0
    assert correlation(made.mean, rate, prompts) > correlation(usual.mean, rate, prompts)


def test_few_prompts_far_apart_find_it_too():
    slide, counts, rate = section(60.0, n=3000)
    prompts = scattered(60, counts)
    made = create("kriging").predict(slide, prompts)
    usual = create("kriging", length_scale=5.0).predict(slide, prompts)
    assert made.details["length_scale"] > 8.0
    assert correlation(made.mean, rate, prompts) > correlation(usual.mean, rate, prompts) + 0.02


@pytest.mark.parametrize("length", [1.5, 60.0])
def test_few_prompts_nearby_keep_the_usual_scale(length):
    slide, counts, _ = section(length, n=400)
    assert create("kriging").predict(slide, scattered(60, counts)).details["length_scale"] == 5.0


def test_a_block_of_prompts_asks_for_nothing_shorter():
    slide, counts, _ = section(1.5, n=2000)
    assert create("kriging").predict(slide, block(200, slide, counts)).details["length_scale"] >= 3.0
    assert create("phg2st").predict(slide, block(200, slide, counts)).details["length_scale"] >= 3.0


def test_a_scale_that_was_asked_for_is_kept():
    slide, counts, _ = section(60.0)
    made = create("kriging", length_scale=2.0).predict(slide, scattered(150, counts))
    assert made.details["length_scale"] == 2.0


def test_noise_asks_for_nothing():
    slide, _, rate = section(60.0)
    noise = np.random.default_rng(1).poisson(20 * np.ones_like(rate)).astype(np.float32)
    assert create("phg2st").predict(slide, scattered(150, noise)).details["length_scale"] == 3.0


@pytest.mark.parametrize("unit", [0.2, 5.0])
def test_a_wrong_unit_is_made_up_for_by_many_prompts(unit):
    slide, counts, rate = section(12.0)
    prompts = scattered(200, counts)
    right = correlation(create("phg2st").predict(slide, prompts).mean, rate, prompts)
    wrong = SlideArrays("a", slide.positions * unit)
    assert correlation(create("phg2st").predict(wrong, prompts).mean, rate, prompts) > right - 0.03


def test_a_covariance_that_sees_the_image_keeps_its_scale():
    slide, counts, _ = section(60.0)
    slide = replace(slide, features=np.random.default_rng(2).normal(size=(len(counts), 8)).astype(np.float32))
    made = create("space_image_kriging", n_components=0).predict(slide, scattered(150, counts))
    assert made.details["length_scale"] in (3.0, 5.0, 8.0)
