"""What the default says about its choice, and what it may ignore."""

from __future__ import annotations

import logging
import warnings

import numpy as np
import pytest

import phg2st_sc as phg2st


def test_the_choice_is_logged(adata, caplog):
    with caplog.at_level(logging.INFO, logger="phg2st_sc"):
        phg2st.tl.impute(adata, method="best_simple")
    chosen = adata.uns["best_simple"]["details"]["P1_S1"]["chosen"]
    assert f"slide 'P1_S1': predicted by {chosen!r}, the best of" in caplog.text


def test_the_default_says_what_it_rests_on(adata, caplog):
    with caplog.at_level(logging.INFO, logger="phg2st_sc"):
        phg2st.tl.impute(adata)
    details = adata.uns["phg2st"]["details"]["P1_S1"]
    assert details["form"] == "slide"
    assert set(details["compared"]) == {"slide", "slide_without_image"}
    assert {"mix", "ratio", "amplitude"} <= set(details)
    best = max(scores["correlation"] for scores in details["compared"].values())
    assert f"slide 'P1_S1': prompts left out in turn are predicted with a mean correlation of {best:.2f}" in caplog.text


def test_a_model_says_how_far_it_followed_the_cohort(make_section, trained):
    section = make_section(seed=0)
    with pytest.warns(UserWarning, match="trained on slide 'P1_S1' itself"):
        details = phg2st.tl.predict(section, model=trained["phg2st"]).uns["details"]["P1_S1"]
    assert set(details["compared"]) == {"cohort", "slide", "slide_without_image"}
    assert details["form"] == "cohort"
    assert 0.25 < details["level_agreement"] <= 1.0
    assert any(key.startswith("slope_") for key in details)


def test_no_skill_at_all_is_said(make_section, monkeypatch):
    adata = make_section()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.predict(adata, method="best_simple")
    from phg2st_sc.linear._comparison import Record

    monkeypatch.setattr(Record, "scores", {"explained": -0.1, "correlation": -0.02})
    with pytest.warns(UserWarning, match="Nothing is predictable from these prompts.*24 prompts of slide 'P1_S1'"):
        phg2st.tl.predict(adata, method="best_simple")


def test_shuffled_counts_are_not_predictable():
    adata = phg2st.datasets.simulate(n_spots=300, n_genes=40, image=False, progress=False, seed=1)
    adata.X = np.random.default_rng(6).poisson(0.5, size=adata.shape).astype(np.float32)
    phg2st.pp.sample_prompts(adata, n=60, seed=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        compared = phg2st.tl.predict(adata).uns["details"]["P1_S1"]["compared"]
    best = max(scores["correlation"] for scores in compared.values())
    assert best < 0.05
    assert any("Nothing is predictable" in str(one.message) for one in caught) == (best <= 0)


def test_methods_without_an_image_do_not_ask_which_embeddings(adata, trained, give_features):
    expected = phg2st.tl.predict(adata, method="kriging").X
    give_features(adata, key="X_uni", encoder="uni")
    for choice in ({"method": "kriging"}, {"method": "idw"}, {"model": phg2st.models.Kriging()}):
        assert phg2st.tl.predict(adata, **choice).uns["use_rep"] == ""
    np.testing.assert_array_equal(phg2st.tl.predict(adata, method="kriging").X, expected)
    for choice in ({"method": "image_ridge"}, {}):
        with pytest.raises(ValueError, match="Several embeddings"):
            phg2st.tl.predict(adata, **choice)


def test_several_slides_show_their_progress(make_section, capsys):
    import anndata as ad

    slides = {name: make_section(seed, image=False) for seed, name in enumerate("ab")}
    phg2st.tl.impute(slides["a"], method="idw")
    assert "predict" not in capsys.readouterr().err
    phg2st.tl.impute(ad.concat(slides, label="slide", index_unique="-"), method="idw", slide_key="slide")
    assert "2/2" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["an array", "another shape", "not finite"])
def test_what_a_method_returns_is_checked(adata, monkeypatch, fault):
    def predict(self, slide, prompts):
        mean = np.ones((slide.n_spots, prompts.n_genes), dtype=np.float32)
        if fault == "an array":
            return mean
        return phg2st.models.Prediction(mean[:, 1:] if fault == "another shape" else mean * np.nan)

    monkeypatch.setattr(phg2st.models.IDW, "predict", predict)
    with pytest.raises(ValueError, match="Method 'idw' returned .* where a Prediction with a finite mean of shape"):
        phg2st.tl.predict(adata, method="idw")
