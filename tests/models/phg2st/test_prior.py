"""A prior: what was learned from sections, and nothing that was measured on one of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_networks import QUICK_MEMBER

import phg2st_sc as phg2st
from phg2st_sc import models
from phg2st_sc.linear._cohort_regression import CohortRegression
from phg2st_sc.linear._image_regression import Radial
from phg2st_sc.linear._landmarks import LEAST_SPOTS, without_spots
from phg2st_sc.models._hub import model_card

KNOWN = {"levels", "spread", "basis.vectors", "basis.variance"}
IMAGE = {"radial.mean", "radial.directions", "radial.landmarks", "radial.whiten", "center", "coefficients"}


@pytest.fixture(scope="module")
def trained(make_training):
    slides = [make_training(seed, patient=f"p{seed // 2}") for seed in range(4)]
    return models.create("phg2st", n_components=5, use_network=False).fit(slides)


@pytest.fixture(scope="module")
def slides():
    return phg2st.datasets.simulate(
        n_slides=3, n_patients=2, n_spots=90, n_genes=25, image=False, progress=False, seed=3
    )


def patch_mean(tiles):
    return tiles.mean(axis=(1, 2))


def test_nothing_in_the_file_was_measured_on_a_section(trained, make_training, tmp_path):
    n_spots = make_training(0).counts.shape[0]
    saved = load_file(trained.save(tmp_path / "model") / "arrays.safetensors")
    assert any(n_spots in array.shape for array in saved.values())  # a model does hold its sections
    arrays = load_file(trained.prior().save(tmp_path / "prior") / "arrays.safetensors")
    allowed = {f"knowledge.{name}" for name in KNOWN} | {f"knowledge.regression.{name}" for name in IMAGE}
    assert set(arrays) <= allowed
    assert not any(n_spots in array.shape for array in arrays.values())
    assert all(array.dtype == np.float32 for array in arrays.values() if array.size >= 64)


def test_the_card_says_how_many_sections_and_not_which(slides, tmp_path):
    model = phg2st.tl.train(slides, progress=False)
    prior = model.prior(name="mine", tissue="simulated", held_out={"scattered": 0.2})
    text = (prior.save(tmp_path / "prior") / "model.json").read_text()
    record = json.loads(text)
    assert not any(name in text for name in model.card["slides"])
    assert "fingerprints" not in record["card"]
    facts = record["card"]["prior"]
    assert (facts["n_sections"], facts["n_patients"], facts["n_genes"]) == (3, 2, 25)
    assert (facts["name"], facts["tissue"], facts["held_out"]) == ("mine", "simulated", {"scattered": 0.2})
    assert "- a prior, learned from 3 sections, 2 patients, and holding none of them" in model_card(prior, "lab/mine")
    again = prior.prior(tissue="another").card["prior"]  # a prior of a prior goes on knowing
    assert (again["n_sections"], again["name"], again["tissue"]) == (3, "mine", "another")


def test_the_card_of_a_trained_network_names_no_section_and_no_patient(tmp_path):
    made = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=40, n_genes=20, progress=False, seed=3)
    sections = {f"secret_{name}": one for name, one in made.items()}
    for one in sections.values():
        one.obs["patient"] = "secret_" + one.obs["patient"].astype(str)
        phg2st.pp.extract_embeddings(one, image="hires", encoder=patch_mean, context=None, progress=False)
    folder = tmp_path / "secret_checkpoints"
    model = phg2st.tl.train(sections, checkpoint_dir=folder, progress=False, **{**QUICK_MEMBER, "max_epochs": 1})
    assert {"judged_on", "losses"} <= set(model.card)
    model.card["reading"] |= {"coordinate_system": "secret_P1_S1", "table_key": "secret"}
    prior = model.prior()
    assert "secret" not in (prior.save(tmp_path / "prior") / "model.json").read_text()
    assert not {"validation", "judged_on", "losses", "scores", "weights"} & set(prior.card)
    assert prior.card["target_sum"] == model.card["target_sum"]


def test_it_is_loaded_as_it_was_saved(trained, make_training, tmp_path):
    prior = trained.prior()
    loaded = models.load(prior.save(tmp_path / "prior"))
    slide = make_training(9)
    prompts = slide.prompts(np.arange(0, slide.arrays.n_spots, 8), target_sum=1e4)
    np.testing.assert_array_equal(loaded.predict(slide.arrays, prompts).mean, prior.predict(slide.arrays, prompts).mean)


def test_a_new_patient_is_predicted_as_by_the_model(trained, make_training):
    slide = make_training(9)
    prompts = slide.prompts(np.arange(0, slide.arrays.n_spots, 8), target_sum=1e4)
    model, prior = (one.predict(slide.arrays, prompts).mean for one in (trained, trained.prior()))
    np.testing.assert_allclose(prior, model, atol=0.1)
    assert np.corrcoef(prior.ravel(), model.ravel())[0, 1] > 0.999


def test_training_without_sections(slides):
    kept = phg2st.tl.train(slides, progress=False)
    assert kept._knowledge.references
    alone = phg2st.tl.train(slides, keep_sections=False, progress=False)
    assert not alone._knowledge.references
    assert not alone._knowledge.imaged_patients
    np.testing.assert_allclose(alone._knowledge.levels, kept._knowledge.levels, rtol=1e-6)
    with pytest.raises(TypeError, match=r"'gene_kriging' does not tell .* method='phg2st', keep_sections=False"):
        phg2st.tl.train(slides, method="gene_kriging", keep_sections=False, progress=False)


def test_nothing_to_hand_on(make_training):
    with pytest.raises(ValueError, match="train the model first"):
        models.PHG2ST().prior()


def radial_regression(features, wanted):
    radial = Radial.learn(features, n_components=6, radial=True, seed=0)
    design = radial.of(features)
    coefficients = np.linalg.solve(design.T @ design + np.eye(design.shape[1]), design.T @ wanted)
    return CohortRegression(radial, design.mean(axis=0), coefficients)


def test_a_prior_of_a_prior_and_a_prior_that_is_lent_keep_its_landmarks(make_training):
    model = models.create("phg2st", n_components=5, use_network=False).fit([make_training(seed) for seed in range(2)])
    features = np.random.default_rng(0).normal(size=(500, 12))
    model._knowledge = replace(model._knowledge, regression=radial_regression(features, np.tanh(features[:, :5])))
    prior = model.prior()
    landmarks = prior._knowledge.regression.radial.landmarks
    assert len(landmarks) < len(model._knowledge.regression.radial.landmarks) / 3
    for again in (prior.prior()._knowledge, prior.lend("x", prior.genes, image=True, asked=True).knowledge):
        np.testing.assert_array_equal(again.regression.radial.landmarks, landmarks)
        np.testing.assert_array_equal(again.regression.coefficients, prior._knowledge.regression.coefficients)


def test_landmarks_become_means_of_spots_and_say_nearly_the_same():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 6)) @ rng.normal(size=(6, 12))
    whole = radial_regression(features, np.tanh(features[:, :3] / 3))
    radial = whole.radial
    short = without_spots(whole)
    landmarks = short.radial.landmarks
    assert len(landmarks) <= len(radial.landmarks) / LEAST_SPOTS
    assert np.abs(landmarks[:, None] - radial.landmarks).max(axis=2).min() > 1e-3  # none is a spot
    new = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 12))
    for made, kept in zip(short.predict(new).T, whole.predict(new).T, strict=True):
        assert np.corrcoef(made, kept)[0, 1] > 0.9
