"""Genes that a slide never measured: told from genes that it does not express, and unknown in all that follows."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._reading._unmeasured import never_measured

GONE = [f"GENE{i:04d}" for i in range(0, 36, 3)]


def slides_of(n_slides=2, **settings):
    settings = {"n_spots": 80, "n_genes": 40, "image": False, "progress": False, "seed": 0} | settings
    made = phg2st.datasets.simulate(n_slides=n_slides, n_patients=n_slides, **settings)
    for adata in made.values():
        adata.X = sparse.csr_matrix(adata.X)
        phg2st.pp.sample_prompts(adata, fraction=0.4, seed=0)
    return made


def joined(form="csr", *, n_slides=2, lacking=GONE):
    """Slides of which the last one never measured some genes, joined as users join them; and the slides."""
    made = slides_of(n_slides)
    last = list(made)[-1]
    made[last] = made[last][:, ~made[last].var_names.isin(lacking)].copy()
    if form == "dense":
        for adata in made.values():
            adata.X = adata.X.toarray()
    whole = ad.concat(made, join="outer", label="slide", index_unique="-")
    return whole, made, last


def test_zeros_after_an_outer_join_are_unknown():
    whole, _, last = joined()
    assert not np.isnan(whole.X.data).any()  # the zeros look like any others
    with pytest.warns(UserWarning, match=f"12 of slide '{last}'.*join='outer'") as caught:
        phg2st.tl.impute(whole, method="gene_kriging", slide_key="slide")
    assert len(caught) == 1
    layer = pd.DataFrame(whole.layers["gene_kriging"], whole.obs_names, whole.var_names)
    here = (whole.obs["slide"] == last).to_numpy()
    assert layer.loc[here, GONE].isna().all(axis=None)
    assert layer.loc[~here].notna().all(axis=None)
    assert layer.loc[here].drop(columns=GONE).notna().all(axis=None)
    np.testing.assert_array_equal(whole.uns["gene_kriging"]["not_measured"][last], GONE)


@pytest.mark.parametrize("form", ["csr", "dense"])
def test_each_slide_is_predicted_as_it_would_be_alone(form):
    whole, made, last = joined(form)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = phg2st.tl.predict(whole, method="kriging", slide_key="slide", target_sum=1e4)
    alone = phg2st.tl.predict(made[last], method="kriging", target_sum=1e4)
    here = (whole.obs["slide"] == last).to_numpy()
    np.testing.assert_array_equal(predicted[here, alone.var_names].X, alone.X)


def test_nan_after_an_outer_join_is_unknown_on_that_slide():
    whole, _, last = joined("dense")
    assert np.isnan(whole.X).any()
    with pytest.warns(UserWarning, match=f"NaN at every prompt.*12 of slide '{last}'") as caught:
        predicted = phg2st.tl.predict(whole, method="gene_kriging", slide_key="slide")
    here = (whole.obs["slide"] == last).to_numpy()
    assert len(caught) == 1
    assert np.isnan(predicted[here, GONE].X).all()
    assert np.isfinite(predicted[~here].X).all()


def test_without_slide_key_nan_is_an_error_that_names_it_and_never_says_to_give_0():
    whole, _, _ = joined("dense")
    whole.obsm["spatial"][whole.obs["slide"] == whole.obs["slide"].iloc[-1]] += 1e5
    with pytest.raises(ValueError, match="slide_key=") as error:
        phg2st.tl.predict(whole, method="kriging")
    assert "give 0" not in str(error.value)


def test_one_slide_with_nan_genes_is_predicted_without_them():
    adata = next(iter(slides_of(2).values()))
    plain = adata[:, ~adata.var_names.isin(GONE)].copy()
    adata.X = adata.X.toarray()
    adata.X[:, adata.var_names.isin(GONE)] = np.nan
    with pytest.warns(UserWarning, match="not measured"):
        predicted = phg2st.tl.predict(adata, method="kriging")
    assert not predicted.var_names.isin(GONE).any()
    np.testing.assert_array_equal(predicted.X, phg2st.tl.predict(plain, method="kriging").X)
    with pytest.raises(ValueError, match="not measured"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phg2st.tl.predict(adata, method="kriging", genes=GONE[:2])


def test_scores_leave_out_what_a_slide_never_measured(tmp_path):
    whole, made, last = joined()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        phg2st.tl.impute(whole, method="kriging", slide_key="slide", target_sum=1e4, key_added="done")
    whole.write_h5ad(tmp_path / "whole.h5ad")
    again = ad.read_h5ad(tmp_path / "whole.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scores = phg2st.tl.evaluate(again, layer="done", n_splits=0, compare="idw")
    of_last = scores[scores["section"] == last]
    assert not of_last["gene"].isin(GONE).any()
    assert scores.loc[scores["section"] != last, "gene"].isin(GONE).any()
    phg2st.tl.impute(made[last], method="kriging", target_sum=1e4, key_added="done")
    alone = phg2st.tl.evaluate(made[last], layer="done", n_splits=0, compare="idw")
    np.testing.assert_allclose(of_last["pcc"].to_numpy(), alone["pcc"].to_numpy(), equal_nan=True)


@pytest.mark.parametrize("form", ["csr", "dense"])
def test_they_are_neither_selected_nor_trained_on(form):
    whole, _, last = joined(form, n_slides=3)
    with pytest.warns(UserWarning, match=f"12 of slide '{last}'"):
        chosen = phg2st.pp.select_genes(whole.copy(), n_top_genes=28, slide_key="slide")
    assert len(chosen) == 28
    assert not set(chosen) & set(GONE)
    with pytest.warns(UserWarning, match=f"12 of slide '{last}'"):
        model = phg2st.tl.train(whole, method="gene_kriging", slide_key="slide", progress=False)
    assert not set(model.genes) & set(GONE)


def test_normalize_keeps_nan_genes_of_a_slide_unknown():
    whole, made, last = joined("dense")
    phg2st.pp.normalize(whole, slide_key="slide", target_sum=1e4)
    phg2st.pp.normalize(made[last], target_sum=1e4)
    here = (whole.obs["slide"] == last).to_numpy()
    layer = pd.DataFrame(whole.layers["phg2st_lognorm"], whole.obs_names, whole.var_names)
    assert layer.loc[here, GONE].isna().all(axis=None)
    np.testing.assert_array_equal(layer.loc[here, made[last].var_names], made[last].layers["phg2st_lognorm"])


def test_only_prompted_rows_tell():
    whole, _, _ = joined()
    counts = whole.X.toarray()
    hidden = ~whole.obs["prompt"].to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = phg2st.tl.predict(whole, method="kriging", slide_key="slide").X
        counts[hidden] = np.random.default_rng(0).poisson(50.0, counts[hidden].shape)
        whole.X = sparse.csr_matrix(counts)
        after = phg2st.tl.predict(whole, method="kriging", slide_key="slide").X
    assert before.tobytes() == after.tobytes()


def rates_of(rng, n_slides, n_genes, cv=0.5):
    mean = rng.lognormal(0.0, 1.5, n_genes)
    rates = mean * rng.gamma(cv**-2, cv**2, (n_slides, n_genes))
    return rates / rates.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("cv", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("depth", [1e3, 1e4, 1e5])
def test_genes_that_are_weak_or_vary_between_slides_are_not_called_unmeasured(cv, depth):
    rng = np.random.default_rng(0)
    for _ in range(40):
        counts = rng.poisson(depth * rates_of(rng, 4, 500, cv))
        counts[1] = rng.poisson(counts[1] * 0.02)  # a slide with few prompts
        assert not never_measured(counts, counts.sum(axis=1)).any()


@pytest.mark.parametrize("switched_off", [1, 4, 9])
def test_a_few_genes_that_are_switched_off_are_not_called_unmeasured(switched_off):
    rng = np.random.default_rng(1)
    counts = rng.poisson(2e5 * rates_of(rng, 3, 1000))
    counts[0, np.argsort(-counts[0])[5 : 5 + switched_off]] = 0  # XIST in a man, the genes of Y in a woman
    assert not never_measured(counts, counts.sum(axis=1)).any()


@pytest.mark.parametrize("part", [0.05, 0.3, 0.8])
def test_a_block_of_unmeasured_genes_is_found(part):
    rng = np.random.default_rng(2)
    for _ in range(20):
        counts = rng.poisson(1e5 * rates_of(rng, 3, 1000))
        gone = rng.random(1000) < part
        strong = counts[0] * (1 - part) ** 1.5 > 60
        counts[0, gone] = 0
        found = never_measured(counts, counts.sum(axis=1))
        assert not found[1:].any()
        assert found[0, gone & strong].mean() > 0.9
        assert gone[found[0]].mean() > 0.95


def test_one_slide_tells_nothing():
    assert not never_measured(np.array([[0.0, 50, 100]]), [150.0]).any()


def test_no_gene_of_the_public_sections_is_called_unmeasured(real_data):
    slides = phg2st.datasets.her2st(real_data / "her2st", with_images=False, progress=False)
    shared = None
    for adata in slides.values():
        shared = adata.var_names if shared is None else shared[shared.isin(adata.var_names)]
    rng = np.random.default_rng(0)
    rows = [np.sort(rng.choice(a.n_obs, max(3, a.n_obs // 20), replace=False)) for a in slides.values()]
    for subset in (slice(None), slice(0, 2), slice(5, 25, 18)):
        pairs = list(zip(slides.values(), rows, strict=True))[subset]
        sums = np.stack([np.asarray(a[r, shared].X.sum(axis=0)).ravel() for a, r in pairs])
        assert not never_measured(sums, [a.X[r].sum() for a, r in pairs]).any()


def test_a_model_tells_what_a_slide_by_itself_never_measured(tmp_path):
    whole, made, last = joined(n_slides=3)
    model = phg2st.tl.train({name: one for name, one in made.items() if name != last}, progress=False)
    loaded = phg2st.models.load(model.save(tmp_path / "model"))
    alone = whole[whole.obs["slide"] == last].copy()  # the genes that it lacks are zeros
    with pytest.warns(UserWarning, match=f"12 of slide '{last}'") as caught:
        phg2st.tl.impute(alone, model=loaded, key_added="done")
    assert sum("never measured" in str(one.message) for one in caught) == 1
    layer = pd.DataFrame(alone.layers["done"], alone.obs_names, alone.var_names)
    assert layer[GONE].isna().all(axis=None) or not alone.var.loc[GONE, "done_predicted"].any()
    assert layer.drop(columns=GONE).notna().all(axis=None)
    assert "gene_counts" not in alone.uns["done"]["model"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=f"1 of the genes asked for were not measured .*'{GONE[0]}'"):
            phg2st.tl.predict(alone, model=loaded, genes=[GONE[0], alone.var_names[-1]])


def test_genes_that_are_asked_for_in_training_are_told_of():
    whole, _, last = joined(n_slides=3)
    with pytest.warns(UserWarning, match=f"`genes` seem never to have been measured.*8 of slide '{last}'"):
        phg2st.tl.train(
            whole,
            method="kriging",
            genes=list(whole.var_names[whole.var_names <= "GENE0023"]),
            slide_key="slide",
            progress=False,
        )


@pytest.mark.parametrize("method", ["gene_kriging", "kriging", "best_simple", None])
def test_genes_that_one_slide_lacks_may_be_asked_for_alone(method):
    whole, _, last = joined()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predicted = phg2st.tl.predict(whole, method=method, slide_key="slide", genes=GONE[:2])
    here = (whole.obs["slide"] == last).to_numpy()
    assert np.isnan(predicted.X[here]).all()
    assert np.isfinite(predicted.X[~here]).all()
    assert list(predicted.uns["not_measured"][last]) == GONE[:2]


def test_a_slide_that_measured_none_of_the_panel_is_named():
    whole, _, last = joined()
    whole.var["phg2st_panel"] = whole.var_names.isin(GONE)
    named = f"Slide '{last}' measured 0 of the 12 genes.*select_genes"
    with warnings.catch_warnings(), pytest.raises(ValueError, match=named):
        warnings.simplefilter("ignore")
        phg2st.tl.predict(whole, method="best_simple", slide_key="slide")


@pytest.mark.parametrize("dense", [True, False])
def test_normalize_tells_of_them(dense):
    whole, _, last = joined()
    if dense:
        whole.X = whole.X.toarray()
    with pytest.warns(UserWarning, match=f"never measured there.*12 of slide '{last}'") as caught:
        phg2st.pp.normalize(whole, slide_key="slide")
    assert sum("never measured" in str(one.message) for one in caught) == 1
    layer = pd.DataFrame.sparse.from_spmatrix(
        sparse.csr_matrix(whole.layers["phg2st_lognorm"]), whole.obs_names, whole.var_names
    )
    here = (whole.obs["slide"] == last).to_numpy()
    assert layer.loc[here, GONE].isna().all(axis=None) == dense
    assert layer.loc[~here].notna().all(axis=None)
    assert layer.loc[here].drop(columns=GONE).notna().all(axis=None)
