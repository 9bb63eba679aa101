"""Counts in `.raw`, where X holds something else: read by `counts_layer="raw"`, and suggested where that mends an error."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import phg2st_sc as phg2st


def section(*, seed=0):
    adata = phg2st.datasets.simulate(n_spots=80, n_genes=24, image=False, progress=False, seed=seed)
    phg2st.pp.sample_prompts(adata, fraction=0.4, seed=0)
    return adata


def scaled(plain, genes=slice(None)):
    """As scanpy's tutorials leave it: X is scaled and may have fewer genes, `.raw` holds the counts of all."""
    adata = plain[:, genes].copy()
    adata.raw = plain
    adata.X = np.random.default_rng(0).normal(size=adata.shape).astype(np.float32)
    return adata


@pytest.mark.parametrize("form", ["csr", "dense", "csc"])
def test_predictions_and_scores_are_those_of_the_counts(form):
    plain = section()
    make = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix, "dense": lambda x: sparse.csr_matrix(x).toarray()}[form]
    plain.X = make(plain.X)
    adata = scaled(plain)
    for one, layer in ((plain, None), (adata, "raw")):
        phg2st.tl.impute(one, method="gene_kriging", counts_layer=layer, key_added="done")
        phg2st.pp.normalize(one, counts_layer=layer)
    np.testing.assert_array_equal(adata.layers["done"], plain.layers["done"])
    lognorm = [sparse.csr_matrix(one.layers["phg2st_lognorm"]).toarray() for one in (adata, plain)]
    np.testing.assert_array_equal(*lognorm)
    assert adata.uns["done"]["reading"]["counts_layer"] == "raw"
    ours, theirs = (phg2st.tl.evaluate(one, layer="done", n_splits=1, compare="idw") for one in (adata, plain))
    np.testing.assert_array_equal(ours["pcc"], theirs["pcc"])


def test_totals_are_over_all_genes_of_raw():
    plain = section()
    adata = scaled(plain, genes=plain.var_names[[5, 2, 9, 11]])
    got = phg2st.tl.predict(adata, method="prompt_mean", counts_layer="raw")
    expected = phg2st.tl.predict(plain, method="prompt_mean")
    assert got.uns["target_sum"] == expected.uns["target_sum"]
    np.testing.assert_allclose(got.X, expected[:, got.var_names].X, rtol=1e-4)
    phg2st.pp.normalize(adata, counts_layer="raw")
    phg2st.pp.normalize(plain)
    np.testing.assert_array_equal(
        *(sparse.csr_matrix(one[:, got.var_names].layers["phg2st_lognorm"]).toarray() for one in (adata, plain))
    )
    assert phg2st.pp.select_genes(adata, n_top_genes=2, counts_layer="raw")


def test_a_layer_of_that_name_comes_first():
    plain = section()
    adata = scaled(plain)
    adata.layers["raw"] = plain.X.copy()
    adata.raw = section(seed=5)
    np.testing.assert_array_equal(
        phg2st.tl.predict(adata, method="idw", counts_layer="raw").X, phg2st.tl.predict(plain, method="idw").X
    )


def test_scaled_x_is_an_error_that_names_raw():
    with pytest.raises(ValueError, match=r"X holds the .*`\.raw` holds counts: pass counts_layer='raw'"):
        phg2st.tl.impute(scaled(section()), method="idw")


def test_raw_that_holds_no_counts_is_not_suggested():
    adata = scaled(section())
    adata.raw = adata
    with pytest.raises(ValueError, match="counts_layer") as error:
        phg2st.tl.impute(adata, method="idw")
    assert "counts_layer='raw'" not in str(error.value)


def test_only_prompted_rows_of_raw_are_read():
    plain = section()
    other = plain.copy()
    hidden = ~other.obs["prompt"].to_numpy()
    other.X = sparse.csr_matrix(other.X).toarray()
    other.X[hidden] = np.nan
    np.testing.assert_array_equal(
        phg2st.tl.predict(scaled(other), method="idw", counts_layer="raw").X, phg2st.tl.predict(plain, method="idw").X
    )


@pytest.mark.parametrize("form", ["csr", "dense"])
def test_a_backed_object(form, tmp_path):
    plain = section()
    plain.X = sparse.csr_matrix(plain.X) if form == "csr" else sparse.csr_matrix(plain.X).toarray()
    scaled(plain).write_h5ad(tmp_path / "a.h5ad")
    backed = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    np.testing.assert_array_equal(
        phg2st.tl.predict(backed, method="idw", counts_layer="raw").X, phg2st.tl.predict(plain, method="idw").X
    )


def test_a_model_reads_raw_again_and_says_where_there_is_none():
    model = phg2st.tl.train(
        {"a": scaled(section()), "b": scaled(section(seed=1))}, method="kriging", counts_layer="raw", progress=False
    )
    new = section(seed=2)
    np.testing.assert_array_equal(
        phg2st.tl.predict(scaled(new), model=model).X, phg2st.tl.predict(new, model=model, counts_layer="X").X
    )
    with pytest.raises(KeyError, match="raw"):
        phg2st.tl.predict(new, model=model)
