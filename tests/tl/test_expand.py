"""Predictions kept as scores, and the genes that are made of them."""

from __future__ import annotations

import anndata
import numpy as np
import pytest
import spatialdata as sd

import phg2st_sc as phg2st

MANY = 200
"""More components than the sections here have genes or prompts: nothing is lost."""


@pytest.fixture
def kept(make_section):
    adata = make_section()
    phg2st.tl.impute(adata, method="gene_kriging", low_rank=MANY, progress=False)
    return adata


def expanded(adata, genes, **settings):
    return phg2st.tl.expand(adata, genes=genes, write="table", progress=False, **settings).X


def test_no_layer_is_kept(kept):
    assert "gene_kriging" not in kept.layers
    scores = kept.obsm["gene_kriging_scores"]
    assert scores.dtype == np.float32
    assert scores.shape[1] <= kept.n_vars
    assert kept.obs["gene_kriging_prompt"].sum() == kept.obs["prompt"].sum()


@pytest.mark.parametrize(
    "method", ["phg2st", "gene_kriging", "image_ridge", "regression_kriging", "idw", "prompt_mean"]
)
def test_with_enough_components_it_is_what_impute_gives(make_section, method):
    adata, other = make_section(), make_section()
    genes = [adata.var_names[number] for number in (7, 2, 11)]
    phg2st.tl.impute(adata, method=method, low_rank=MANY, progress=False)
    phg2st.tl.impute(other, method=method, progress=False)
    expected = np.asarray(other[:, genes].layers[method])
    np.testing.assert_allclose(expanded(adata, genes), expected, rtol=0, atol=1e-5)
    phg2st.tl.expand(adata, progress=False)
    np.testing.assert_allclose(adata.layers[method], other.layers[method], rtol=0, atol=1e-5)
    scores = [phg2st.tl.evaluate(one, layer=method, n_splits=0, progress=False)["pcc"] for one in (adata, other)]
    np.testing.assert_allclose(*scores, atol=1e-4)


def test_a_model_too(make_section, trained):
    adata, other = make_section(), make_section()
    phg2st.tl.impute(adata, model=trained["gene_kriging"], low_rank=MANY, progress=False)
    phg2st.tl.impute(other, model=trained["gene_kriging"], progress=False)
    phg2st.tl.expand(adata, progress=False)
    np.testing.assert_allclose(adata.layers["gene_kriging"], other.layers["gene_kriging"], rtol=0, atol=1e-5)


def test_fewer_components_say_what_they_hold(make_section):
    adata = make_section()
    errors, shares = [], []
    exact = phg2st.tl.predict(adata, method="kriging", progress=False)
    for k in (2, 5, 12):
        phg2st.tl.impute(adata, method="kriging", low_rank=k, progress=False)
        (record,) = adata.uns["kriging"]["low_rank"]["components"].values()
        assert adata.obsm["kriging_scores"].shape == (adata.n_obs, k)
        shares.append(record["kept"])
        errors.append(np.abs(expanded(adata, list(exact.var_names)) - exact.X).mean())
    assert shares == sorted(shares)
    assert errors == sorted(errors, reverse=True)
    assert 0 < shares[0] < shares[-1] <= 1


def test_genes_beside_those_asked_for_change_nothing(kept):
    genes = list(kept.var_names[[4, 9]])
    every = expanded(kept, list(kept.var_names[:12]))
    np.testing.assert_array_equal(expanded(kept, genes), every[:, [4, 9]])


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_stored_and_read_again(kept, tmp_path, form):
    genes = list(kept.var_names[:4])
    expected = expanded(kept, genes)
    if form == "h5ad":
        kept.write_h5ad(tmp_path / "a.h5ad")
        back = anndata.read_h5ad(tmp_path / "a.h5ad")
    else:
        kept.write_zarr(tmp_path / "a.zarr")
        back = anndata.read_zarr(tmp_path / "a.zarr")
    np.testing.assert_array_equal(expanded(back, genes), expected)


def test_some_of_the_spots_and_genes_in_another_order(kept):
    expected = phg2st.tl.expand(kept, write="table", progress=False)
    rows = np.random.default_rng(0).permutation(kept.n_obs)[:30]
    few = kept[rows, kept.var_names[::-2]].copy()
    phg2st.tl.expand(few, progress=False)
    np.testing.assert_array_equal(few.layers["gene_kriging"], expected[few.obs_names, few.var_names].X)


def test_several_slides(training):
    slides = {name: one.copy() for name, one in training.items()}
    for one in slides.values():
        phg2st.pp.sample_prompts(one, fraction=0.2)
    table = anndata.concat(slides, label="slide", index_unique="-", merge="same", uns_merge="first")
    table = table[np.random.default_rng(0).permutation(table.n_obs)].copy()
    other = table.copy()
    settings = {"method": "kriging", "slide_key": "slide", "progress": False}
    phg2st.tl.impute(table, low_rank=MANY, **settings)
    phg2st.tl.impute(other, **settings)
    phg2st.tl.expand(table, progress=False)
    np.testing.assert_allclose(table.layers["kriging"], other.layers["kriging"], rtol=0, atol=1e-5)


def test_a_layer_replaces_scores_and_scores_a_layer(kept):
    phg2st.tl.impute(kept, method="gene_kriging", progress=False)
    assert "gene_kriging_scores" not in kept.obsm
    assert "gene_kriging_factor" not in kept.obs
    assert "low_rank" not in kept.uns["gene_kriging"]
    phg2st.tl.impute(kept, method="gene_kriging", low_rank=3, progress=False)
    assert "gene_kriging" not in kept.layers


def own_scores(table, key):
    """What users may hold under the names of scores."""
    table.obsm[f"{key}_scores"] = np.full((table.n_obs, 2), 7.0)
    table.obs[f"{key}_factor"] = 7.0
    table.obs[f"{key}_components"] = "mine"


def assert_own_scores(table, key):
    np.testing.assert_array_equal(table.obsm[f"{key}_scores"], np.full((table.n_obs, 2), 7.0))
    assert (table.obs[f"{key}_factor"] == 7.0).all()
    assert (table.obs[f"{key}_components"] == "mine").all()


@pytest.mark.parametrize("again", [True, False])
def test_what_the_user_holds_under_the_names_of_scores_stays(make_section, again):
    adata = make_section()
    if again:
        phg2st.tl.impute(adata, method="idw", key_added="m", progress=False)
    own_scores(adata, "m")
    phg2st.tl.impute(adata, method="idw", key_added="m", progress=False)
    assert_own_scores(adata, "m")
    layer = adata.layers["m"].copy()
    refused = r"obsm\['m_scores'\], obs\['m_factor'\], obs\['m_components'\] exist and were not.*another `key_added=`"
    with pytest.raises(ValueError, match=refused):
        phg2st.tl.impute(adata, method="idw", key_added="m", low_rank=3, progress=False)
    assert_own_scores(adata, "m")
    np.testing.assert_array_equal(adata.layers["m"], layer)


def test_what_the_user_holds_in_a_store_under_the_names_of_scores_stays(tmp_path):
    sdata = phg2st.datasets.simulate(container="spatialdata", n_spots=100, n_genes=24, progress=False, seed=0)
    phg2st.pp.sample_prompts(sdata, fraction=0.2)
    settings = {"method": "idw", "key_added": "m", "progress": False}
    phg2st.tl.impute(sdata, **settings)
    own_scores(sdata["table"], "m")
    sdata.write(tmp_path / "s.zarr")
    here = sd.read_zarr(tmp_path / "s.zarr")
    with pytest.raises(ValueError, match=r"obsm\['m_scores'\], obs\['m_factor'\]"):
        phg2st.tl.impute(here, low_rank=3, write=True, **settings)
    for slot, name in (("obsm", "m_scores"), ("obs", "m_factor"), ("obs", "m_components")):
        del getattr(here["table"], slot)[name]
    phg2st.tl.impute(here, low_rank=3, **settings)  # in memory alone
    with pytest.raises(ValueError, match=r"in the store: obsm\['m_scores'\], obs\['m_factor'\]"):
        phg2st.tl.impute(here, low_rank=3, write=True, **settings)
    phg2st.tl.impute(here, write=True, **settings)
    assert "m_scores" not in here["table"].obsm
    assert_own_scores(sd.read_zarr(tmp_path / "s.zarr")["table"], "m")


def test_scores_that_only_the_store_has_are_taken_away_there(tmp_path):
    sdata = phg2st.datasets.simulate(container="spatialdata", n_spots=100, n_genes=24, progress=False, seed=0)
    phg2st.pp.sample_prompts(sdata, fraction=0.2)
    sdata.write(tmp_path / "s.zarr")
    here, other = sd.read_zarr(tmp_path / "s.zarr"), sd.read_zarr(tmp_path / "s.zarr")
    phg2st.tl.impute(other, method="idw", low_rank=3, write=True, progress=False)
    phg2st.tl.impute(here, method="idw", write=True, progress=False)
    back = sd.read_zarr(tmp_path / "s.zarr")["table"]
    assert "idw" in back.layers
    assert "idw_scores" not in back.obsm
    assert not {"idw_factor", "idw_components"} & set(back.obs)


def test_under_another_name_the_scores_stay_where_they_are(kept):
    genes = list(kept.var_names[:2])
    phg2st.tl.expand(kept, genes=genes, key_added="two", progress=False)
    assert kept.var["two_predicted"].sum() == 2
    assert "low_rank" not in kept.uns["two"]
    assert np.isnan(kept.layers["two"][:, 2:]).all()
    phg2st.tl.expand(kept, genes=genes, progress=False)
    np.testing.assert_array_equal(kept.layers["gene_kriging"], kept.layers["two"])
    assert expanded(kept, genes).shape == (kept.n_obs, 2)


def test_in_a_store(tmp_path):
    sdata = phg2st.datasets.simulate(container="spatialdata", n_spots=100, n_genes=24, progress=False, seed=0)
    phg2st.pp.sample_prompts(sdata, fraction=0.2)
    sdata.write(tmp_path / "s.zarr")
    phg2st.tl.impute(sdata, method="kriging", low_rank=MANY, write=True, progress=False)
    expected = phg2st.tl.predict(sdata, method="kriging", progress=False)
    back = sd.read_zarr(tmp_path / "s.zarr")
    phg2st.tl.expand(back, genes=list(expected.var_names[:3]), write="table", key_added="few", progress=False)
    phg2st.tl.expand(back, write=True, progress=False)
    again = sd.read_zarr(tmp_path / "s.zarr")
    np.testing.assert_allclose(again["few"].X, expected.X[:, :3], rtol=0, atol=1e-5)
    layer = again["table"][:, list(expected.var_names)].layers["kriging"]
    np.testing.assert_allclose(layer, expected.X, rtol=0, atol=1e-5)


# --- what does not fit ------------------------------------------------------------------------------------------------
def test_what_cannot_be_expanded(kept, make_section):
    plain = make_section(image=False)
    with pytest.raises(KeyError, match=r"No low-rank prediction 'phg2st'.*low_rank=64"):
        phg2st.tl.expand(plain)
    with pytest.raises(KeyError, match="'nothing' in uns .there are: 'gene_kriging'"):
        phg2st.tl.expand(kept, key="nothing")
    with pytest.raises(KeyError, match="1 of 2 genes are not among the 40 predicted genes: 'none_such'"):
        phg2st.tl.expand(kept, genes=["none_such", kept.var_names[0]])
    few = kept[:, 3:].copy()
    with pytest.raises(KeyError, match="1 of 1 genes are not in var_names"):
        phg2st.tl.expand(few, genes=[kept.var_names[0]])
    del few.obs["gene_kriging_factor"]
    with pytest.raises(KeyError, match=r"not whole: obs\['gene_kriging_factor'\]"):
        phg2st.tl.expand(few)
    with pytest.raises(KeyError, match=r"phg2st_sc.tl.expand\(data, key='gene_kriging'\)"):
        phg2st.tl.evaluate(kept, layer="gene_kriging")


def test_spots_of_another_prediction_are_refused(kept, make_section):
    other = make_section(3)
    for one in (kept, other):
        phg2st.tl.impute(one, method="gene_kriging", low_rank=5, target_sum=1e4, progress=False)
    joined = anndata.concat([kept, other], index_unique="-", join="outer", uns_merge="first", merge="first")
    alone = [phg2st.tl.expand(one, write="table", progress=False).X for one in (kept, other)]
    np.testing.assert_array_equal(phg2st.tl.expand(joined, write="table", progress=False).X, np.concatenate(alone))
    del joined.uns["gene_kriging"]["low_rank"]["components"][f"{kept.obs['gene_kriging_components'].iloc[0]}"]
    with pytest.raises(ValueError, match="whose components are not in"):
        phg2st.tl.expand(joined)
    genes = other.uns["gene_kriging"]["low_rank"]["genes"]
    other.uns["gene_kriging"]["low_rank"]["genes"] = genes[::-1]
    with pytest.raises(ValueError, match="or they are of several predictions"):
        phg2st.tl.expand(other)
    kept.obsm["gene_kriging_scores"] = kept.obsm["gene_kriging_scores"][:, :2].copy()
    with pytest.raises(ValueError, match="do not fit the components"):
        phg2st.tl.expand(kept)


@pytest.mark.parametrize("low_rank", [0, -1, True, 2.5, "64"])
def test_what_is_no_number_of_components(adata, low_rank):
    with pytest.raises(ValueError, match="must be a number of components"):
        phg2st.tl.impute(adata, method="idw", low_rank=low_rank)


def test_scores_are_no_table_of_their_own(adata):
    with pytest.raises(ValueError, match="leave `write='table'` out"):
        phg2st.tl.impute(adata, method="idw", low_rank=4, write="table")
