"""Spot centres: from whatever they are kept in, and none that are nowhere."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._slide import open_slides

FORMS = {
    "frame": lambda v, n: pd.DataFrame(v, index=n, columns=["x", "y"]),
    "frame with integer columns out of order": lambda v, n: pd.DataFrame(v, index=n, columns=[1, 0]),
    "csr": lambda v, _: sparse.csr_matrix(v),
    "csc array": lambda v, _: sparse.csc_array(v),
    "dask": lambda v, _: pytest.importorskip("dask.array").from_array(v, chunks=(50, 1)),
    "structured": lambda v, _: np.rec.fromarrays(v.T, names=["x", "y"]),
    "objects": lambda v, _: v.astype(object),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_places_are_the_same_from_every_form(spot_adata, form):
    places = spot_adata.obsm["spatial"]
    spot_adata.obsm["spatial"] = FORMS[form](places, spot_adata.obs_names)
    (slide,) = open_slides(spot_adata)
    np.testing.assert_array_equal(slide.positions, places)
    longer = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    np.testing.assert_array_equal(longer.obsm["spatial"][:120], places)


@pytest.mark.parametrize("names", [["y", "x"], ["pxl_row_in_fullres", "pxl_col_in_fullres"]])
def test_columns_that_say_which_is_x_are_read_by_their_names(spot_adata, names):
    places = spot_adata.obsm["spatial"]
    spot_adata.obsm["spatial"] = pd.DataFrame(places[:, ::-1], index=spot_adata.obs_names, columns=names)
    with pytest.warns(UserWarning, match=rf"columns in the order '{names[0]}', '{names[1]}': read by their names"):
        (slide,) = open_slides(spot_adata)
    np.testing.assert_array_equal(slide.positions, places)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda v: v + 1j, TypeError, "complex"),
        (lambda v: v[:, :1], ValueError, r"must be \(n_obs, 2\)"),
        (lambda v: v[:, :, None], ValueError, r"shape \(120, 2, 1\)"),
        (lambda v: np.full((120, 2), "here", dtype=object), TypeError, "real numbers.*'here'"),
    ],
    ids=["complex", "one column", "blocks", "words"],
)
def test_what_are_no_places_is_refused(spot_adata, make, error, message):
    spot_adata.obsm["spatial"] = make(spot_adata.obsm["spatial"])
    with pytest.raises(error, match=message) as caught:
        phg2st.pp.sample_prompts(spot_adata)
    assert "obsm['spatial']" in str(caught.value)


# --- nowhere ----------------------------------------------------------------------------------------------------------
CALLS = {
    "sample_prompts": phg2st.pp.sample_prompts,
    "add_targets": lambda a: phg2st.pp.add_targets(a, region="capture"),
    "build_hypergraph": lambda a: phg2st.pp.build_hypergraph(a, builder="position"),
    "predict": lambda a: phg2st.tl.predict(a, prompt_mask="drawn", method="idw"),
    "train": lambda a: phg2st.tl.train(a, method="gene_kriging", progress=False),
}


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("call", list(CALLS))
def test_spots_that_are_nowhere_are_named_with_the_way_to_leave_them_out(spot_adata, call, value):
    phg2st.pp.sample_prompts(spot_adata, fraction=0.3, key_added="drawn")
    spot_adata.obsm["spatial"][[4, 70], [0, 1]] = value
    with pytest.raises(ValueError, match=r"centres of 2 spot\(s\).*NaN or infinite \('spot4', 'spot70'\)") as caught:
        CALLS[call](spot_adata)
    code = str(caught.value).split("e.g. `")[1].split("`")[0]
    left = eval(code, {"data": spot_adata, "numpy": np})
    assert left.n_obs == 118
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        CALLS[call](left)


def test_spots_that_are_nowhere_and_not_drawn_from_are_in_nobodys_way(spot_adata):
    spot_adata.obsm["spatial"][:5] = np.nan
    spot_adata.obs["there"] = np.arange(120) >= 5
    phg2st.pp.sample_prompts(spot_adata, fraction=0.2, within="there")
    assert spot_adata.obs["prompt"].sum() == 23


def test_targets_leave_whatever_else_is_kept_of_spots_as_it_is(spot_adata):
    values = np.arange(240.0).reshape(120, 2)
    spot_adata.obsm["complex"] = values + 1j
    spot_adata.obsm["times"] = values.astype("datetime64[s]")
    spot_adata.obsm["words"] = values.astype(str)
    spot_adata.obsm["objects"] = values.astype(object)
    spot_adata.obsm["fields"] = np.rec.fromarrays(values.T.astype(int), names=["a", "b"])
    spot_adata.obsm["masked"] = np.ma.array(values, mask=values > 100)
    longer = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    for key in ("complex", "times", "words", "objects", "fields", "masked"):
        old, new = spot_adata.obsm[key], longer.obsm[key]
        assert new.dtype == old.dtype
        np.testing.assert_array_equal(new[:120], old)
    assert longer.obsm["masked"].mask[120:].all()
    assert np.isnan(longer.obsm["complex"][120:]).all()
    assert (longer.obsm["words"][120:] == "").all()


@pytest.mark.parametrize("kind", ["boolean", "bool[pyarrow]", "Int64", "Float32", "string", "string[pyarrow]"])
def test_targets_have_a_value_in_nullable_columns_too(spot_adata, kind):
    values = ["1"] * 120 if kind.startswith("string") else np.ones(120, dtype=int if kind == "Int64" else float)
    values = np.ones(120, dtype=bool) if kind.startswith("bool") else values
    spot_adata.obs["patient"] = pd.array(values, dtype=kind)
    spot_adata.obs["own"] = spot_adata.obs["patient"]
    longer = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    for column in ("patient", "own"):
        assert longer.obs[column].dtype == spot_adata.obs[column].dtype
        assert longer.obs[column].iloc[:120].equals(spot_adata.obs[column])
    assert longer.obs["patient"].notna().all()


@pytest.mark.parametrize("form", [bool, str, "category", "boolean", float])
def test_targets_are_known_whatever_their_column_has_become(spot_adata, form):
    longer = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    column = longer.obs["phg2st_target"]
    longer.obs["phg2st_target"] = column.astype(str).astype("category") if form == "category" else column.astype(form)
    with pytest.raises(ValueError, match="marks .* targets as measured"):
        phg2st.tl.predict(longer, prompt_mask=np.ones(longer.n_obs, dtype=bool), method="idw")
    phg2st.pp.sample_prompts(longer, fraction=0.2)
    assert longer.uns["phg2st_prompt"]["n_prompts"].tolist() == [24]
