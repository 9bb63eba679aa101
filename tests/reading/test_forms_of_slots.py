"""Counts, marks and predictions in whatever form an object keeps them: the same results, or an error that says what is there."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st


@pytest.fixture
def own_training(training):
    """The training sections, to change."""
    return {name: one.copy() for name, one in training.items()}


FORMS = {
    "integers": lambda v: v.astype(np.int64),
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_matrix,
    "csr array": sparse.csr_array,
    "csc array": sparse.csc_array,
    "objects": lambda v: v.astype(object),
    "fortran": np.asfortranarray,
    "masked": np.ma.array,
    "dask": lambda v: _dask(v),
    "dask of csr": lambda v: _dask(v).map_blocks(sparse.csr_matrix),
    "dask of csr arrays": lambda v: _dask(v).map_blocks(sparse.csr_array),
}


def _dask(values):
    return pytest.importorskip("dask.array").from_array(values, chunks=(50, values.shape[1]))


@pytest.fixture
def counted(adata):
    """A section whose counts are in a layer."""
    adata.layers["counts"] = adata.X.toarray()
    adata.X = None
    return adata


@pytest.mark.parametrize("form", list(FORMS))
def test_counts_are_the_same_from_every_form(counted, form):
    dense = counted.layers["counts"]
    expected = phg2st.tl.predict(counted, method="kriging", counts_layer="counts").X
    counted.layers["counts"] = FORMS[form](dense)
    np.testing.assert_array_equal(phg2st.tl.predict(counted, method="kriging", counts_layer="counts").X, expected)
    longer = phg2st.pp.add_targets(counted, pitch_um=50, platform="Visium", region="capture")
    held = longer.layers["counts"]
    held = held.toarray() if sparse.issparse(held) else np.asarray(held, dtype=np.float64)
    np.testing.assert_array_equal(held[:120], dense)
    assert not held[120:].any() or form == "masked"


def test_masked_values_are_no_counts(counted):
    row = np.flatnonzero(counted.obs["prompt"])[3]
    mask = np.zeros(counted.shape, dtype=bool)
    mask[row, 5] = True
    counted.layers["counts"] = np.ma.array(counted.layers["counts"], mask=mask)
    with pytest.raises(ValueError, match=r"NaN") as caught:
        phg2st.tl.predict(counted, method="kriging", counts_layer="counts")
    assert repr(counted.obs_names[row]) in str(caught.value)


@pytest.mark.parametrize("form", ["csr", "csc array", "dask", "dask of csr"])
def test_stored_predictions_are_scored_the_same_from_every_form(adata, form):
    phg2st.tl.impute(adata, method="idw")
    expected = phg2st.tl.evaluate(adata, layer="idw", n_splits=1)
    adata.layers["idw"] = FORMS[form](adata.layers["idw"])
    pd.testing.assert_frame_equal(phg2st.tl.evaluate(adata, layer="idw", n_splits=1), expected)


MARKS = {
    "words": lambda m: m.astype(str),
    "categories": lambda m: m.astype(str).astype("category"),
    "nullable": lambda m: m.astype("boolean"),
    "gaps for what is not marked": lambda m: m.astype(object).where(m, np.nan),
    "nullable gaps": lambda m: m.astype("boolean").where(m, pd.NA),
    "ones": lambda m: m.astype(int),
}


@pytest.mark.parametrize("form", list(MARKS))
def test_genes_that_are_not_marked_stay_out_whatever_the_marks_have_become(adata, own_training, form):
    for one in (adata, *own_training.values()):
        one.var["phg2st_panel"] = np.arange(one.n_vars) % 2 == 0
    expected = phg2st.tl.predict(adata, method="kriging")
    learned = phg2st.tl.train(own_training, method="gene_kriging", progress=False).genes
    assert len(learned) == 20
    for one in (adata, *own_training.values()):
        one.var["phg2st_panel"] = MARKS[form](one.var["phg2st_panel"])
    found = phg2st.tl.predict(adata, method="kriging")
    assert list(found.var_names) == list(expected.var_names)
    np.testing.assert_array_equal(found.X, expected.X)
    assert phg2st.tl.train(own_training, method="gene_kriging", progress=False).genes == learned


@pytest.mark.parametrize("form", list(MARKS))
def test_predicted_genes_are_known_whatever_the_marks_have_become(adata, form):
    phg2st.tl.impute(adata, method="idw", genes=list(adata.var_names[:8]))
    expected = phg2st.tl.evaluate(adata, layer="idw", n_splits=1)
    adata.var["idw_predicted"] = MARKS[form](adata.var["idw_predicted"])
    pd.testing.assert_frame_equal(phg2st.tl.evaluate(adata, layer="idw", n_splits=1), expected)
