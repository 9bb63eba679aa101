"""What a prediction is compared with, who made it, and sections that were measured only in part."""

from __future__ import annotations

import warnings

import anndata as ad
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc.tl import _stored


def score(adata, **arguments):
    return phg2st.tl.evaluate(adata, n_splits=0, **arguments)


def makers(scores):
    return dict(scores.groupby("method", sort=False)["made_by"].first())


def test_the_maker_is_named(make_section, trained):
    adata = make_section(seed=7)
    phg2st.tl.impute(adata)
    scores = score(adata, compare=["best_simple", "idw"])
    chosen = phg2st.tl.predict(adata, method="best_simple").uns["details"]["P1_S1"]["chosen"]
    assert makers(scores) == {"phg2st": "phg2st", "best_simple": chosen, "idw": "idw"}
    assert list(scores.columns[1:4]) == ["patient", "method", "made_by"]
    assert phg2st.metrics.summarize(scores, by="method").index.tolist() == ["phg2st", "best_simple", "idw"]


def test_a_method_with_the_name_of_the_layer_is_not_dropped(make_section, trained):
    adata = make_section(seed=7)
    phg2st.tl.impute(adata, model=trained["kriging"])
    assert makers(score(adata, compare="kriging")) == {
        "kriging": "kriging (trained)",
        "kriging (this slide)": "kriging",
    }
    phg2st.tl.impute(adata, method="kriging")
    assert makers(score(adata, compare=["kriging", "idw"])) == {"kriging": "kriging", "idw": "idw"}


def test_models_and_stored_predictions_are_compared(make_section, trained, tmp_path):
    adata = make_section(seed=7)
    model = trained["kriging"]
    phg2st.tl.impute(adata, method="idw")
    phg2st.tl.impute(adata, model=model, key_added="cohort", target_sum=5e3)
    folder = model.save(tmp_path / "model")
    genes = adata.var_names[adata.var["cohort_predicted"] & adata.var["idw_predicted"]]
    assert len(genes) == adata.var["idw_predicted"].sum()
    scores = score(adata, layer="idw", compare={"a": model, "b": folder, "c": "cohort"})
    means = scores.attrs["means"]
    assert means["a"]["pcc"] == pytest.approx(means["b"]["pcc"]) == pytest.approx(means["c"]["pcc"], abs=1e-6)
    alone = score(adata, layer="cohort", genes=genes).attrs["means"]["cohort"]["pcc"]
    assert means["c"]["pcc"] == pytest.approx(alone, abs=1e-3)  # depths are over the panel of the scored layer
    assert makers(score(adata, layer="idw", compare=[model, "cohort"])) == {
        "idw": "idw",
        "kriging (trained)": "kriging (trained)",
        "cohort": "kriging (trained)",
    }


def test_what_cannot_be_compared(make_section, trained):
    adata = make_section(seed=7)
    phg2st.tl.impute(adata, method="idw")
    mask = np.zeros(adata.n_obs, dtype=bool)
    mask[:30] = True
    phg2st.tl.impute(adata, method="kriging", prompt_mask=mask, key_added="elsewhere")
    with pytest.raises(ValueError, match=r"layers\['elsewhere'\] was predicted from other prompts"):
        score(adata, layer="idw", compare="elsewhere")
    with pytest.raises(KeyError, match="no method 'krigin'.*did you mean 'kriging'"):
        score(adata, layer="idw", compare="krigin")
    with pytest.raises(ValueError, match=r"Two of `compare` are called 'kriging \(trained\)'"):
        score(adata, layer="idw", compare=[trained["kriging"], trained["kriging"]])


# --- which layer ------------------------------------------------------------------------------------------------------
def test_several_layers_are_compared_and_not_scored_at_once(adata):
    phg2st.tl.impute(adata, method="idw")
    phg2st.tl.impute(adata, method="kriging")
    with pytest.raises(TypeError, match=r"not \['idw', 'kriging'\]: name the others in `compare=`"):
        score(adata, layer=["idw", "kriging"])
    assert list(makers(score(adata, layer="idw", compare=["kriging"]))) == ["idw", "kriging"]


def test_the_only_prediction_is_the_default(adata):
    phg2st.tl.impute(adata, method="idw")
    assert score(adata).attrs["layer"] == "idw"
    phg2st.tl.impute(adata, method="kriging")
    with pytest.raises(KeyError, match=r"layers\['phg2st'\] is missing.*'idw', 'kriging'.*`layer=`"):
        score(adata)
    with pytest.raises(KeyError, match="did you mean `layer='kriging'`"):
        score(adata, layer="krigin")


def test_joined_predictions_say_what_was_lost(make_section):
    slides = {name: make_section(seed, image=False) for seed, name in enumerate("ab")}
    for one in slides.values():
        phg2st.tl.impute(one, method="idw")
    joined = ad.concat(slides, label="slide", index_unique="-")
    with pytest.raises(KeyError, match=r"var\['idw_predicted'\] and uns\['idw'\].*before they are joined"):
        score(joined, slide_key="slide")


# --- sections that were measured in part ------------------------------------------------------------------------------
@pytest.mark.parametrize("blank", [0.0, np.nan])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_unmeasured_spots_are_left_out(adata, blank, form):
    phg2st.tl.impute(adata, method="idw")
    unmeasured = np.flatnonzero(~adata.obs["prompt"])[::2]
    dense = adata.X.toarray()
    dense[unmeasured] = blank
    part = adata.copy()
    part.X = form(dense)
    scores = score(part)
    assert scores.attrs["sections"]["P1_S1"]["n_spots_unmeasured"] == unmeasured.size
    alone = score(adata[np.setdiff1d(np.arange(adata.n_obs), unmeasured)].copy())
    np.testing.assert_allclose(scores["pcc"], alone["pcc"])


@pytest.mark.parametrize("blank", [0.0, np.nan])
def test_nothing_measured_was_held_out(adata, blank):
    dense = adata.X.toarray()
    dense[~adata.obs["prompt"]] = blank
    adata.X = dense
    phg2st.tl.impute(adata, method="idw")
    with pytest.raises(ValueError, match="None of the 96 held-out spots.*Hide part of your measured spots"):
        score(adata)


def test_a_section_measured_in_part_is_checked_by_hiding_some_of_it(adata):
    measured = np.arange(adata.n_obs) % 2 == 0
    dense = adata.X.toarray()
    dense[~measured] = np.nan
    adata.X = dense
    phg2st.pp.sample_prompts(adata, fraction=0.5, within=measured, seed=0)
    phg2st.tl.impute(adata, method="idw")
    counted = score(adata).attrs["sections"]["P1_S1"]
    assert counted["n_spots_unmeasured"] == (~measured).sum()
    assert counted["n_spots"] + counted["n_spots_empty"] == measured.sum() - adata.obs["prompt"].sum()


# --- views ------------------------------------------------------------------------------------------------------------
def test_what_only_reads_takes_views(adata, training, snapshot, unchanged):
    phg2st.tl.impute(adata, method="idw")
    rows = np.arange(adata.n_obs) < 100
    before = snapshot(adata)
    np.testing.assert_array_equal(
        phg2st.tl.predict(adata[rows], method="idw").X, phg2st.tl.predict(adata[rows].copy(), method="idw").X
    )
    assert score(adata[rows]).equals(score(adata[rows].copy()))
    assert phg2st.tl.impute(adata[rows], method="idw", copy=True).n_obs == 100
    unchanged(before, snapshot(adata))
    views = {name: one[:100] for name, one in training.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = phg2st.tl.train(views, method="kriging", progress=False)
    assert model.card["n_spots"] == 300


def test_the_order_of_rows_changes_no_score(make_section):
    adata = make_section(n_spots=80, n_genes=20, seed=5)
    phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    phg2st.tl.impute(adata, method="kriging")
    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    scores = [phg2st.tl.evaluate(one, layer="kriging").set_index("gene") for one in (adata, shuffled)]
    for column in ("pcc", "ccc", "ceiling"):
        np.testing.assert_allclose(scores[1][column], scores[0][column], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, lambda values: da.from_array(values, (7, 3))])
@pytest.mark.parametrize(
    "rows", [np.arange(3, 40), np.array([5, 2, 30]), np.array([], int)], ids=["in order", "not", "none"]
)
def test_a_layer_that_is_read_in_pieces_gives_the_same_rows(form, rows, monkeypatch):
    monkeypatch.setattr(_stored, "_PIECE_VALUES", 20)
    values = np.random.default_rng(0).random((40, 6)).astype(np.float32)
    columns = np.array([5, 1, 2])
    result = _stored.Stored("kriging", form(values), np.zeros(40, bool), ["a", "b", "c"], columns, {})
    found = result.rows(rows, slide=None)
    np.testing.assert_array_equal(found, values[rows][:, columns])
    assert found.dtype == np.float32


def test_spots_without_counts_over_the_panel_are_left_out_and_counted(make_section):
    adata = make_section(seed=7)
    phg2st.tl.impute(adata, method="idw")
    heldout = np.flatnonzero(~adata.obs["idw_prompt"])[:4]
    counts = np.asarray(adata.X.toarray() if sparse.issparse(adata.X) else adata.X)
    panel = np.flatnonzero(adata.var["idw_predicted"])
    adata.var["idw_predicted"] = np.isin(np.arange(adata.n_vars), panel[:-1])
    counts[heldout[:, None], panel[:-1]] = 0
    counts[heldout, panel[-1]] = 9  # measured, but nothing of the panel was counted
    adata.X = counts
    (described,) = score(adata).attrs["sections"].values()
    assert described["n_spots_empty"] == 4
    assert described["n_spots"] == (~adata.obs["idw_prompt"]).sum() - 4
