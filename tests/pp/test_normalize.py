import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import phg2st_sc as phg2st


def table_of(counts):
    a = ad.AnnData(counts)
    a.obsm["spatial"] = np.c_[np.arange(a.n_obs) // 6, np.arange(a.n_obs) % 6] * 100.0
    return a


@pytest.fixture
def counts():
    rng = np.random.default_rng(0)
    return rng.poisson(rng.gamma(1, 2, size=(1, 40)) * rng.gamma(4, 0.5, size=(30, 1))).astype(np.float32)


def dense(matrix):
    return matrix.toarray() if sparse.issparse(matrix) else matrix


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("target_sum", [None, 1e4, 37])
def test_same_as_scanpy(counts, kind, target_sum):
    sc = pytest.importorskip("scanpy")
    a, expected = table_of(kind(counts)), table_of(counts.copy())
    sc.pp.normalize_total(expected, target_sum=target_sum)
    sc.pp.log1p(expected)
    phg2st.pp.normalize(a, target_sum=target_sum)
    layer = a.layers["phg2st_lognorm"]
    assert sparse.issparse(layer) == sparse.issparse(a.X)
    assert layer.dtype == np.float32
    np.testing.assert_allclose(dense(layer), expected.X, rtol=2e-6)
    np.testing.assert_array_equal(dense(a.X), counts)


def test_recipe_and_layer(counts):
    a = table_of(np.full_like(counts, 0.5))
    a.layers["raw"] = counts
    phg2st.pp.normalize(a, counts_layer="raw")
    recipe = a.uns["phg2st_lognorm"]
    assert recipe["counts_layer"] == "raw"
    assert recipe["target_sum"].tolist() == [np.median(counts.sum(axis=1))]
    assert recipe["n_genes"] == 40
    np.testing.assert_allclose(
        a.layers["phg2st_lognorm"], np.log1p(counts / counts.sum(1, keepdims=True) * recipe["target_sum"]), rtol=2e-6
    )


def test_survives_a_file(counts, tmp_path):
    a = table_of(sparse.csr_matrix(counts))
    phg2st.pp.normalize(a)
    a.write_h5ad(tmp_path / "a.h5ad")
    a.write_zarr(tmp_path / "a.zarr")
    for back in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        np.testing.assert_array_equal(dense(back.layers["phg2st_lognorm"]), dense(a.layers["phg2st_lognorm"]))
        assert back.uns["phg2st_lognorm"]["counts_layer"] == "X"


def test_slides_have_their_own_scale_only_with_slide_key(counts):
    counts[:12] *= 3
    a = table_of(counts)
    a.obs["slide"] = np.repeat(["p", "q"], [12, 18])
    phg2st.pp.normalize(a)
    totals = counts.sum(axis=1)
    assert a.uns["phg2st_lognorm"]["target_sum"].tolist() == [np.median(totals)]
    np.testing.assert_allclose(np.expm1(a.layers["phg2st_lognorm"]).sum(axis=1), np.median(totals), rtol=1e-5)
    phg2st.pp.normalize(a, slide_key="slide")
    sums = dict(zip(a.uns["phg2st_lognorm"]["slides"], a.uns["phg2st_lognorm"]["target_sum"], strict=True))
    assert sums == {"p": np.median(totals[:12]), "q": np.median(totals[12:])}
    np.testing.assert_allclose(np.expm1(a.layers["phg2st_lognorm"][:12]).sum(axis=1), sums["p"], rtol=1e-5)


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
def test_spots_that_were_not_measured_stay_nan(counts, kind):
    measured = np.arange(30) % 3 == 0
    partly = counts.copy()
    partly[~measured] = np.nan
    a, alone = table_of(kind(partly)), table_of(kind(counts[measured]))
    phg2st.pp.normalize(a)
    phg2st.pp.normalize(alone)
    layer = dense(a.layers["phg2st_lognorm"])
    assert np.isnan(layer[~measured]).all()
    np.testing.assert_array_equal(layer[measured], dense(alone.layers["phg2st_lognorm"]))
    assert a.uns["phg2st_lognorm"]["n_rows_without_measurement"] == 20


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
def test_empty_spots_become_zero_with_a_warning(counts, kind):
    counts[[0, 4, 29]] = 0
    a = table_of(kind(counts))
    with pytest.warns(UserWarning, match=r"3 spots have no counts at all and become zeros: '0', '4', '29'"):
        phg2st.pp.normalize(a)
    layer = dense(a.layers["phg2st_lognorm"])
    assert (layer[[0, 4, 29]] == 0).all()
    assert (layer[1] > 0).any()
    assert a.uns["phg2st_lognorm"]["target_sum"][0] == np.median(counts.sum(1)[counts.sum(1) > 0])


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("value", "message"), [(-1, "negative"), (np.nan, "NaN"), (np.inf, "infinite"), (1.5, "not an integer")]
)
def test_values_that_are_no_counts(counts, kind, value, message):
    counts[3, 5] = value
    a = table_of(kind(counts))
    with pytest.raises(ValueError, match=rf"{message}.* \(spot '3', gene '5'\)"):
        phg2st.pp.normalize(a)
    assert "phg2st_lognorm" not in a.layers
    assert not a.uns


def test_other_bad_input(counts):
    a = table_of(counts)
    with pytest.raises(ValueError, match="target_sum=0 must be"):
        phg2st.pp.normalize(a, target_sum=0)
    with pytest.raises(KeyError, match="no layer 'raw'"):
        phg2st.pp.normalize(a, counts_layer="raw")
    with pytest.raises(ValueError, match="No spot has a single count"):
        phg2st.pp.normalize(table_of(np.zeros_like(counts)))
    with pytest.raises(ValueError, match="view"):
        phg2st.pp.normalize(a[:20])
