"""The same answer from every container, and results that survive being stored."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st

sd = pytest.importorskip("spatialdata")

SETTINGS = {"n_spots": 100, "n_genes": 24, "progress": False, "seed": 0}
METHODS = ["kriging", "idw", "space_image_kriging", "best_simple"]


def _slots(table, key):
    """What impute wrote under a key."""
    return {
        "layer": table.layers[key],
        "prompts": table.obs[f"{key}_prompt"].to_numpy(),
        "predicted": table.var[f"{key}_predicted"].to_numpy(),
        "record": table.uns[key],
    }


def _same_slots(one, other):
    np.testing.assert_array_equal(one["layer"], other["layer"])
    np.testing.assert_array_equal(one["prompts"], other["prompts"])
    np.testing.assert_array_equal(one["predicted"], other["predicted"])
    assert one["prompts"].dtype == bool
    assert one["predicted"].dtype == bool
    assert list(one["record"]["genes"]) == list(other["record"]["genes"])
    for fact in ("method", "target_sum", "seed", "use_rep", "obs_names_hash", "scale"):
        assert one["record"][fact] == other["record"][fact]
    for part in ("parameters", "details", "n_prompts", "versions", "features"):
        assert set(one["record"][part]) == set(other["record"][part]), part


@pytest.fixture
def sdata(give_features):
    """One simulated section as SpatialData, with features and prompts."""
    data = phg2st.datasets.simulate(container="spatialdata", **SETTINGS)
    give_features(data["table"])
    phg2st.pp.sample_prompts(data, fraction=0.2)
    return data


@pytest.fixture
def plain(give_features):
    """The same section as AnnData."""
    data = phg2st.datasets.simulate(image=False, **SETTINGS)
    give_features(data)
    phg2st.pp.sample_prompts(data, fraction=0.2)
    return data


@pytest.fixture
def stored(sdata, tmp_path):
    """The section read from a zarr store."""
    sdata.write(tmp_path / "s.zarr")
    return sd.read_zarr(tmp_path / "s.zarr")


# --- the same answer --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
def test_anndata_and_spatialdata_agree(sdata, plain, method):
    sdata["table"].obs["prompt"] = plain.obs["prompt"]
    one, other = phg2st.tl.predict(plain, method=method), phg2st.tl.predict(sdata, method=method)
    assert one.var_names.equals(other.var_names)
    np.testing.assert_allclose(one.X, other.X, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.obsm["spatial"], other.obsm["spatial"], atol=1e-6)


def test_sparse_dense_and_layer_agree(adata):
    expected = phg2st.tl.predict(adata, method="kriging").X
    counts = adata.X.toarray()
    for form in (counts, counts.astype(np.int64), sparse.csc_matrix(counts), sparse.csr_array(counts)):
        adata.X = form
        np.testing.assert_array_equal(phg2st.tl.predict(adata, method="kriging").X, expected)
        adata.layers["raw"] = form
        np.testing.assert_array_equal(phg2st.tl.predict(adata, method="kriging", counts_layer="raw").X, expected)


def test_backed_anndata(adata, tmp_path):
    expected = phg2st.tl.predict(adata, method="kriging").X
    adata.write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_array_equal(phg2st.tl.predict(backed, method="kriging").X, expected)


def test_mask_forms_agree(adata):
    mask = adata.obs["prompt"].to_numpy().copy()
    adata.obs["measured"] = mask
    adata.obs["nullable"] = pd.array(mask, dtype="boolean")
    series = pd.Series(mask, index=adata.obs_names)
    expected = phg2st.tl.predict(adata, method="kriging").X
    shuffled = series.sample(frac=1.0, random_state=0)
    for form in (mask, list(mask), series, shuffled, "prompt", "measured", "nullable", series.astype("boolean")):
        out = phg2st.tl.predict(adata, method="kriging", prompt_mask=form)
        np.testing.assert_array_equal(out.X, expected)
        np.testing.assert_array_equal(out.obs["prompt"], mask)


# --- several slides ---------------------------------------------------------------------------------------------------
@pytest.fixture
def joined(training):
    """Three sections in one AnnData, their rows mixed."""
    slides = {name: adata.copy() for name, adata in training.items()}
    for adata in slides.values():
        phg2st.pp.sample_prompts(adata, fraction=0.2)
    table = anndata.concat(slides, label="slide", index_unique="-", merge="same", uns_merge="first")
    table.obs["section"] = table.obs["section"].astype(str)
    order = np.random.default_rng(0).permutation(table.n_obs)
    return slides, table[order].copy()


@pytest.mark.parametrize("method", METHODS)
def test_slides_in_one_object_are_predicted_one_by_one(joined, method):
    slides, table = joined
    genes = list(table.var_names[:20])
    together = phg2st.tl.predict(table, method=method, slide_key="slide", genes=genes, target_sum=1e4)
    panel = list(together.uns["genes"])
    assert panel == genes
    for name, adata in slides.items():
        # the working panel of one object is that of all its slides
        adata.var["phg2st_panel"] = adata.var_names.isin(_working_genes(table))
        alone = phg2st.tl.predict(adata, method=method, genes=genes, target_sum=1e4)
        rows = [f"{spot}-{name}" for spot in adata.obs_names]
        np.testing.assert_array_equal(together[rows].X, alone.X)
    assert set(together.uns["n_prompts"]) == set(slides)
    assert set(together.uns["details"]) == set(slides)


def _working_genes(table):
    detected = (table[table.obs["prompt"]].X > 0).sum(axis=0)
    return table.var_names[np.asarray(detected).ravel() >= 3]


def test_a_slide_without_prompts_is_named(joined, trained):
    _, table = joined
    first = table.obs["slide"].unique()[0]
    mask = (table.obs["prompt"] & (table.obs["slide"] != first)).to_numpy()
    with pytest.raises(ValueError, match=f"none of the 120 spots of slide '{first}'"):
        phg2st.tl.predict(table, method="idw", slide_key="slide", prompt_mask=mask)
    with pytest.warns(UserWarning, match=f"Slide '{first}' has no prompts"):
        out = phg2st.tl.predict(table, model=trained["kriging"], slide_key="slide", prompt_mask=mask)
    assert out.uns["n_prompts"][first] == 0


# --- what is written --------------------------------------------------------------------------------------------------
def test_slots_of_the_contract(adata, snapshot, unchanged):
    before = snapshot(adata)
    assert phg2st.tl.impute(adata, genes=list(adata.var_names[3:9])) is None
    unchanged(before, snapshot(adata))
    new = set(snapshot(adata)) - set(before)
    assert {key for key in new if not key.startswith("uns/")} == {
        "layers/phg2st",
        "obs/phg2st_prompt",
        "var/phg2st_predicted",
    }
    assert {key.split("/")[1] for key in new if key.startswith("uns/")} == {"phg2st"}
    layer, predicted = adata.layers["phg2st"], adata.var["phg2st_predicted"].to_numpy()
    assert layer.dtype == np.float32
    assert adata.var_names[predicted].tolist() == list(adata.var_names[3:9])
    assert np.isfinite(layer[:, predicted]).all()
    assert np.isnan(layer[:, ~predicted]).all()
    record = adata.uns["phg2st"]
    assert record["method"] == "phg2st"
    assert record["use_rep"] == "X_texture"
    assert record["features"]["encoder"] == "texture"
    assert record["n_prompts"] == {"P1_S1": 24}
    assert record["target_sum"] == np.median(adata.X.sum(axis=1).A1[adata.obs["prompt"]])


def test_key_added_defaults_to_the_method(adata):
    phg2st.tl.impute(adata, method="idw")
    phg2st.tl.impute(adata, method="idw", key_added="mine", n_neighbors=3)
    assert "idw" in adata.layers
    assert adata.uns["mine"]["parameters"]["n_neighbors"] == 3
    assert not np.array_equal(adata.layers["idw"], adata.layers["mine"], equal_nan=True)


def test_the_mask_that_was_used_is_kept(adata):
    mask = adata.obs["prompt"].to_numpy().copy()
    phg2st.tl.impute(adata, method="idw")
    phg2st.pp.sample_prompts(adata, fraction=0.4, seed=3)
    np.testing.assert_array_equal(adata.obs["idw_prompt"], mask)


def test_again_over_itself(adata):
    phg2st.tl.impute(adata, method="kriging")
    first = adata.layers["kriging"].copy()
    phg2st.tl.impute(adata, method="kriging", genes=list(adata.var_names[:4]))
    assert adata.var["kriging_predicted"].sum() == 4
    phg2st.tl.impute(adata, method="kriging")
    np.testing.assert_array_equal(adata.layers["kriging"], first)


def test_copy(adata, snapshot, unchanged):
    before = snapshot(adata)
    out = phg2st.tl.impute(adata, method="kriging", copy=True)
    after = snapshot(adata)
    unchanged(before, after)
    assert set(before) == set(after)
    phg2st.tl.impute(adata, method="kriging")
    _same_slots(_slots(out, "kriging"), _slots(adata, "kriging"))


def test_copy_of_a_spatialdata(sdata, snapshot, unchanged):
    before = snapshot(sdata["table"])
    out = phg2st.tl.impute(sdata, method="kriging", copy=True)
    after = snapshot(sdata["table"])
    unchanged(before, after)
    assert set(before) == set(after)
    assert "kriging" in out["table"].layers
    assert out["table"] is not sdata["table"]
    assert [name for _, name, _ in out.gen_elements()] == [name for _, name, _ in sdata.gen_elements()]


def test_predict_writes_nothing(adata, trained, snapshot, unchanged):
    before = snapshot(adata)
    for choice in ({}, {"method": "image_ridge"}, {"model": trained["gene_kriging"]}):
        out = phg2st.tl.predict(adata, **choice)
        assert out.obs_names.equals(adata.obs_names)
    after = snapshot(adata)
    unchanged(before, after)
    assert set(before) == set(after)


def test_model_from_a_folder(adata, trained, tmp_path):
    folder = trained["space_image_kriging"].save(tmp_path / "model")
    for path in (folder, str(folder)):
        np.testing.assert_array_equal(
            phg2st.tl.predict(adata, model=path).X, phg2st.tl.predict(adata, model=trained["space_image_kriging"]).X
        )
    phg2st.tl.impute(adata, model=folder)
    card = adata.uns["space_image_kriging"]["model"]
    assert list(card["slides"]) == ["P1_S1", "P2_S1", "P3_S1"]
    assert card["features"]["encoder"] == "texture"


# --- round trips ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("choice", ["default", "method", "model"])
@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_anndata_round_trip(adata, trained, tmp_path, form, choice):
    settings = {"default": {}, "method": {"method": "idw"}, "model": {"model": trained["regression_kriging"]}}[choice]
    phg2st.tl.impute(adata, key_added="out", **settings)
    if form == "h5ad":
        adata.write_h5ad(tmp_path / "a.h5ad")
        back = anndata.read_h5ad(tmp_path / "a.h5ad")
    else:
        adata.write_zarr(tmp_path / "a.zarr")
        back = anndata.read_zarr(tmp_path / "a.zarr")
    _same_slots(_slots(back, "out"), _slots(adata, "out"))
    scores = [phg2st.tl.evaluate(a, layer="out", n_splits=0) for a in (adata, back)]
    pd.testing.assert_frame_equal(*scores)
    np.testing.assert_array_equal(
        phg2st.tl.predict(back, **settings).X, adata.layers["out"][:, adata.var["out_predicted"]]
    )


def test_predicted_table_round_trip(adata, trained, tmp_path):
    out = phg2st.tl.predict(adata, model=trained["gene_kriging"])
    out.write_h5ad(tmp_path / "out.h5ad")
    back = anndata.read_h5ad(tmp_path / "out.h5ad")
    np.testing.assert_array_equal(back.X, out.X)
    assert back.uns["method"] == "gene_kriging"


def test_spatialdata_round_trip_with_write(stored, tmp_path):
    phg2st.tl.impute(stored, write=True)
    back = sd.read_zarr(tmp_path / "s.zarr")
    _same_slots(_slots(back["table"], "phg2st"), _slots(stored["table"], "phg2st"))
    np.testing.assert_array_equal(back["table"].X.toarray(), stored["table"].X.toarray())
    # once more, over the first
    phg2st.tl.impute(stored, write=True, target_sum=123.0)
    again = sd.read_zarr(tmp_path / "s.zarr")
    assert again["table"].uns["phg2st"]["target_sum"] == 123.0
    _same_slots(_slots(again["table"], "phg2st"), _slots(stored["table"], "phg2st"))
    assert not np.array_equal(again["table"].layers["phg2st"], back["table"].layers["phg2st"], equal_nan=True)


def test_spatialdata_round_trip_whole(sdata, tmp_path):
    phg2st.tl.impute(sdata, method="kriging")
    sdata.write(tmp_path / "w.zarr")
    back = sd.read_zarr(tmp_path / "w.zarr")
    _same_slots(_slots(back["table"], "kriging"), _slots(sdata["table"], "kriging"))


def test_without_write_the_store_is_left_alone(stored, tmp_path):
    phg2st.tl.impute(stored, method="kriging")
    assert "kriging" not in sd.read_zarr(tmp_path / "s.zarr")["table"].layers


def test_a_table_of_its_own(stored, tmp_path):
    expected = phg2st.tl.predict(stored, method="kriging")
    phg2st.tl.impute(stored, method="kriging", key_added="filled", write="table")
    assert "filled" not in stored["table"].layers
    back = sd.read_zarr(tmp_path / "s.zarr")
    for data in (stored, back):
        np.testing.assert_array_equal(data["filled"].X, expected.X)
        assert data["filled"].uns["method"] == "kriging"
        assert data["filled"].obs["prompt"].dtype == bool
        assert sd.get_element_annotators(data, "P1_S1_spots") == {"table", "filled"}
    # once more, over the first; the table with the counts is found without being named
    phg2st.tl.impute(stored, method="idw", key_added="filled", write="table")
    assert sd.read_zarr(tmp_path / "s.zarr")["filled"].uns["method"] == "idw"


def test_write_without_a_store(sdata):
    with pytest.raises(ValueError, match=r"no store behind.*sdata.write\(path\)"):
        phg2st.tl.impute(sdata, method="idw", write=True)
    phg2st.tl.impute(sdata, method="idw", write="table", key_added="filled")
    assert sdata["filled"].shape[0] == 100


# --- training ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "method", ["kriging", "gene_kriging", "image_ridge", "regression_kriging", "space_image_kriging"]
)
def test_list_dict_and_one_object_train_the_same_model(training, adata, method):
    table = anndata.concat(training, label="slide", index_unique="-", merge="same", uns_merge="first")
    forms = {"list": list(training.values()), "dict": training, "one": table}
    made = {
        name: phg2st.tl.train(form, method=method, progress=False, slide_key="slide" if name == "one" else None)
        for name, form in forms.items()
    }
    for name, model in made.items():
        assert model.card["slides"] == ["P1_S1", "P2_S1", "P3_S1"], name
        assert model.card["patients"] == ["P1", "P2", "P3"], name
        assert model.genes == made["list"].genes, name
        np.testing.assert_array_equal(
            phg2st.tl.predict(adata, model=model).X, phg2st.tl.predict(adata, model=made["list"]).X, err_msg=name
        )


def test_training_leaves_the_slides_alone(training, snapshot, unchanged):
    before = {name: snapshot(a) for name, a in training.items()}
    phg2st.tl.train(training, method="regression_kriging", progress=False)
    for name, adata in training.items():
        unchanged(before[name], snapshot(adata))
        assert set(before[name]) == set(snapshot(adata))


def test_panel_of_select_genes_is_trained_on(training):
    slides = [adata.copy() for adata in training.values()]
    chosen = phg2st.pp.select_genes(slides, n_top_genes=12)
    model = phg2st.tl.train(slides, method="kriging", progress=False)
    assert set(model.genes) == set(chosen)
    named = list(chosen)[::-1]
    assert phg2st.tl.train(slides, method="kriging", genes=named, progress=False).genes == tuple(named)
