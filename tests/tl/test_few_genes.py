"""A few genes of many: what all genes would say of them, to the last bit, without keeping all genes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

import phg2st_sc as phg2st

ALONE = ["phg2st", "best_simple", "gene_kriging", "idw", "image_ridge", "kriging", "prompt_mean"]
ALONE += ["regression_kriging", "space_image_kriging"]


def many_genes(n_spots: int, n_genes: int, *, fraction: float) -> AnnData:
    rng = np.random.default_rng(0)
    side = int(np.ceil(np.sqrt(n_spots)))
    places = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:n_spots]
    level = np.exp(rng.normal(0.0, 1.5, n_genes))
    side_of = (places[:, 0] > side / 2).astype(int)
    shares = level * np.exp(rng.normal(0.0, 0.5, (2, n_genes)))
    shares *= 400.0 / shares.sum(axis=1, keepdims=True)
    table = AnnData(sparse.csr_matrix(rng.poisson(shares[side_of]).astype(np.float32)))
    table.var_names = [f"g{number}" for number in range(n_genes)]
    table.obsm["spatial"] = places * 50.0
    table.obs["prompt"] = rng.permutation(n_spots) < round(fraction * n_spots)
    return table


@pytest.mark.parametrize("method", ALONE)
def test_the_others_change_no_bit(make_section, method):
    adata = make_section()
    genes = [adata.var_names[number] for number in (7, 2, 11)]
    every = phg2st.tl.predict(adata, method=method, progress=False)
    few = phg2st.tl.predict(adata, method=method, genes=genes, progress=False)
    assert list(few.var_names) == genes
    np.testing.assert_array_equal(few.X, every[:, genes].X)


@pytest.mark.parametrize("fraction", [0.02, 0.4])
def test_in_a_large_object_too(fraction):
    """With more prompts than are solved at once, and in blocks that do not hold all spots."""
    table = many_genes(4200, 60 if fraction > 0.1 else 1500, fraction=fraction)
    every = phg2st.tl.predict(table, progress=False)
    genes = list(every.var_names[[3, 1, 20]])
    np.testing.assert_array_equal(phg2st.tl.predict(table, genes=genes, progress=False).X, every[:, genes].X)


@pytest.mark.parametrize("method", ["phg2st", "kriging", "idw", "prompt_mean"])
def test_all_genes_at_all_spots_are_never_held(method):
    table = many_genes(6000, 4000, fraction=0.01)
    genes = list(table.var_names[:5])
    tracemalloc.start()
    try:
        phg2st.tl.predict(table, method=method, genes=genes, progress=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < table.n_obs * table.n_vars * 8


def test_a_method_with_a_prediction_of_its_own_is_asked_for_it(make_section):
    """Not its base class, which knows how to predict a few genes."""

    class Doubled(phg2st.models.IDW):
        name = "doubled"

        def predict(self, slide, prompts):
            found = super().predict(slide, prompts)
            return phg2st.models.Prediction(2 * found.mean)

    adata = make_section(image=False)
    genes = list(adata.var_names[:3])
    few = phg2st.tl.predict(adata, model=Doubled(), genes=genes, progress=False).X
    np.testing.assert_array_equal(few, 2 * phg2st.tl.predict(adata, method="idw", genes=genes, progress=False).X)


# --- where they go ----------------------------------------------------------------------------------------------------
def test_a_table_of_its_own(make_section, snapshot, unchanged):
    adata = make_section(image=False)
    before, genes = snapshot(adata), [adata.var_names[number] for number in (7, 2)]
    made = phg2st.tl.impute(adata, method="kriging", genes=genes, write="table")
    after = snapshot(adata)
    unchanged(before, after)
    assert set(before) == set(after)
    expected = phg2st.tl.predict(adata, method="kriging", genes=genes)
    np.testing.assert_array_equal(made.X, expected.X)
    assert list(made.var_names) == genes
    assert list(made.obs_names) == list(adata.obs_names)
    np.testing.assert_array_equal(made.obs["prompt"], adata.obs["prompt"])
    np.testing.assert_array_equal(made.obsm["spatial"], adata.obsm["spatial"])
    assert made.uns["method"] == "kriging"


def test_tables_of_several_objects_come_as_the_objects_did(make_section):
    slides = {"a": make_section(image=False), "b": make_section(image=False)}
    made = phg2st.tl.impute(slides, method="idw", write="table", copy=True)
    assert list(made) == ["a", "b"]
    assert all("idw" not in one.layers for one in slides.values())
    listed = phg2st.tl.impute(list(slides.values()), method="idw", write="table")
    np.testing.assert_array_equal(listed[0].X, made["a"].X)


def test_a_large_layer_of_nan_is_told_of_once(make_section, monkeypatch, recwarn):
    monkeypatch.setattr("phg2st_sc.tl._impute._LARGE_LAYER", 1000)
    slides = [make_section(image=False), make_section(image=False)]
    genes = list(slides[0].var_names[:3])
    phg2st.tl.impute(slides, method="idw", genes=genes, write="table")
    phg2st.tl.impute(slides, method="idw")
    assert not [one for one in recwarn if "NaN" in str(one.message)]
    phg2st.tl.impute(slides, method="idw", genes=genes)
    told = [str(one.message) for one in recwarn if "NaN" in str(one.message)]
    assert len(told) == 1
    assert "3 of 40 genes are predicted. Pass `write='table'`" in told[0]
