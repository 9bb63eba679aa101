"""A model that was trained on the slide it predicts: warned about, wherever it shows."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import phg2st_sc as phg2st
from phg2st_sc._provenance._fingerprint import fingerprint, shortened, trained_on

SAME = "trained on slide 'P1_S1' itself"


@pytest.fixture
def known(training):
    """A copy of a training slide, with prompts."""
    adata = training["P1_S1"].copy()
    phg2st.pp.sample_prompts(adata, fraction=0.1, seed=0)
    return adata


def test_a_training_slide_is_known_again(known, trained, tmp_path):
    model = trained["kriging"]
    with pytest.warns(UserWarning, match=SAME):
        phg2st.tl.predict(known, model=model)
    shuffled = known[np.random.default_rng(0).permutation(known.n_obs)[:90]].copy()
    with pytest.warns(UserWarning, match=SAME):
        phg2st.tl.impute(shuffled, model=phg2st.models.load(model.save(tmp_path / "model")))
    with pytest.warns(UserWarning, match=r"layers\['kriging'\] was trained on 'P1_S1' itself"):
        phg2st.tl.evaluate(shuffled, layer="kriging", n_splits=0)


def test_a_new_slide_with_the_same_names_is_not(make_section, training, trained):
    new = make_section(seed=3)
    old = training["P1_S1"]
    n = min(new.n_obs, old.n_obs)
    new.obs_names = [*old.obs_names[:n], *(f"x{i}" for i in range(new.n_obs - n))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.impute(new, model=trained["kriging"])
        phg2st.tl.evaluate(new, layer="kriging", n_splits=0)


def test_fingerprints_know_a_large_slide_by_some_of_its_spots():
    rng = np.random.default_rng(0)
    names = [f"s{i}" for i in range(3000)]
    totals, others = rng.poisson(3000, size=(2, 3000))
    card = {"slides": ["a"], "fingerprints": [fingerprint(names, totals)]}
    assert len(card["fingerprints"][0]) == 8 * 128
    some = rng.choice(3000, 600, replace=False)
    picked = [names[i] for i in some]
    assert trained_on(card, picked, totals[some]) == "a"
    assert trained_on(card, picked, others[some]) == ""
    assert trained_on(card, [], []) == ""
    assert trained_on({}, picked, totals[some]) == ""


def test_training_on_a_slide_with_prompts_is_said(training, known):
    with pytest.warns(UserWarning, match=r"Every spot of 'P1_S1' is read, although obs\['prompt'\]"):
        phg2st.tl.train({**training, "P1_S1": known}, method="kriging", progress=False)
    known.obs["prompt"] = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.train({**training, "P1_S1": known}, method="kriging", progress=False)


def test_a_prior_knows_the_slides_that_it_was_learned_from(known, training, make_section, tmp_path):
    model = phg2st.tl.train(training, use_network=False, progress=False)
    prior = model.prior(name="mine")
    text = (prior.prior(tissue="none").save(tmp_path / "prior") / "model.json").read_text()
    assert not any(hashed in text for one in model.card["fingerprints"] for hashed in (one[:8], one[8:16], one[16:24]))
    for given, told in ((model, "P1_S1"), (prior, "section 1"), (tmp_path / "prior", "section 1")):
        with pytest.warns(UserWarning, match=rf"Prior '(prior|mine)' was {SAME} \(as '{told}'\)"):
            phg2st.tl.impute(known, prior=given)
        assert known.uns["phg2st"]["trained_on"] == {"P1_S1": told}
    with pytest.warns(UserWarning, match="was trained on 'P1_S1' itself"):
        phg2st.tl.evaluate(known, n_splits=0)
    with pytest.warns(UserWarning, match=rf"The model was {SAME} \(as 'section 1'\)"):
        phg2st.tl.impute(known, model=prior)
    new = make_section(seed=3)
    phg2st.pp.sample_prompts(new, fraction=0.1, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.impute(new, prior=prior)


def test_short_fingerprints_take_no_other_slide_for_theirs():
    rng = np.random.default_rng(0)
    names = [f"s{i}" for i in range(1000)]
    totals = rng.poisson(3000, size=1000)
    whole = fingerprint(names, totals)
    short = shortened(whole)
    assert not any(whole[start : start + 8] in short for start in range(0, len(whole), 8))
    card = {"shortened_fingerprints": [short] * 20}
    taken = sum(bool(trained_on(card, names[:60], rng.poisson(3000, size=60))) for _ in range(200))
    assert taken == 0
    assert trained_on(card, names[:60], totals[:60]) == "section 1"
