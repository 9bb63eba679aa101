import anndata as ad
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import phg2st_sc as phg2st
from phg2st_sc._reading._counts import drop_empty_prompts, read_counts

N, G = 12, 7
ROWS = np.array([7, 2, 11, 3])
GENES = ["g5", "g0", "g3"]
FORMATS = ["dense", "csr", "csc", "csr_array", "integers", "dask", "dask csr", "h5ad dense", "h5ad csr", "h5ad csc"]


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(1.5, size=(N, G)).astype(np.float32)


def table_of(values, form="dense", tmp_path=None):
    obs, var = pd.DataFrame(index=[f"s{i}" for i in range(N)]), pd.DataFrame(index=[f"g{i}" for i in range(G)])
    if form.startswith("h5ad"):
        path = tmp_path / "counts.h5ad"
        table_of(values, form.split()[1]).write_h5ad(path)
        return ad.read_h5ad(path, backed="r")
    make = {
        "dense": np.array,
        "csr": sparse.csr_matrix,
        "csc": sparse.csc_matrix,
        "csr_array": sparse.csr_array,
        "integers": lambda v: np.array(v, dtype=np.int64),
        "dask": lambda v: da.from_array(v, chunks=(5, 3)),
        "dask csr": lambda v: da.from_array(v, chunks=(5, G)).map_blocks(sparse.csr_matrix),
    }
    return ad.AnnData(make[form](values), obs=obs, var=var)


@pytest.mark.parametrize("form", FORMATS)
def test_every_storage_gives_the_same_counts(counts, form, tmp_path):
    table = table_of(counts, form, tmp_path)
    read, totals = read_counts(table, ROWS, genes=GENES)
    assert sparse.issparse(read) == ("cs" in form)
    dense, _ = read_counts(table, ROWS, genes=GENES, dense=True)
    assert dense.dtype == read.dtype == np.float32
    assert totals.dtype == np.float64
    np.testing.assert_array_equal(dense, counts[ROWS][:, [5, 0, 3]])
    np.testing.assert_array_equal(read.toarray() if sparse.issparse(read) else read, dense)
    np.testing.assert_array_equal(totals, counts[ROWS].sum(axis=1))


@pytest.mark.parametrize("filling", [np.nan, -3.5, np.inf, 1e6, 0.25])
@pytest.mark.parametrize("form", ["dense", "csr", "csc", "dask", "h5ad csr", "h5ad dense"])
def test_other_rows_are_neither_read_nor_checked(counts, form, filling, tmp_path):
    spoiled = np.full_like(counts, filling)
    spoiled[ROWS] = counts[ROWS]
    read, totals = read_counts(table_of(spoiled, form, tmp_path), ROWS, dense=True)
    assert read.tobytes() == counts[ROWS].tobytes()
    assert totals.tobytes() == counts[ROWS].sum(axis=1, dtype=np.float64).tobytes()


def test_words_in_other_rows_do_not_matter(counts):
    spoiled = counts.astype(object)
    spoiled[np.setdiff1d(np.arange(N), ROWS)] = "not measured"
    table = ad.AnnData(obs=pd.DataFrame(index=[f"s{i}" for i in range(N)]), var=pd.DataFrame(index=list("abcdefg")))
    table.layers["raw"] = spoiled
    read, _ = read_counts(table, ROWS, counts_layer="raw")
    np.testing.assert_array_equal(read, counts[ROWS])
    with pytest.raises(TypeError, match="Layer 'raw' holds values that are no numbers"):
        read_counts(table, np.arange(N), counts_layer="raw")


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "dask"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (-2.0, "negative value -2"),
        (np.nan, "NaN"),
        (np.inf, "infinite value inf"),
        (0.5, "value 0.5, not an integer"),
    ],
)
def test_first_offending_value_is_named(counts, form, value, message):
    counts[2, 6] = counts[11, 1] = value
    table = table_of(counts, form)
    table.layers["raw"] = np.abs(np.nan_to_num(counts, posinf=0)).round()
    with pytest.raises(ValueError, match=rf"X holds .*{message} \(spot 's2', gene 'g6'\)") as caught:
        read_counts(table, ROWS, genes=GENES)
    if np.isfinite(value):
        assert "counts_layer=" in str(caught.value)
        assert "['raw']" in str(caught.value)
    else:
        assert "out of the prompt mask" in str(caught.value)
    read_counts(table, ROWS, counts_layer="raw")


def test_a_bad_value_deep_in_a_large_table_is_found(monkeypatch, counts):
    monkeypatch.setattr("phg2st_sc._reading._counts._BLOCK", 2 * G)
    counts[9, 4] = -1
    with pytest.raises(ValueError, match="spot 's9', gene 'g4'"):
        read_counts(table_of(counts), np.arange(N))


def test_layers(counts):
    table = table_of(counts)
    table.layers["raw"] = counts * 2
    np.testing.assert_array_equal(read_counts(table, ROWS, counts_layer="raw")[0], counts[ROWS] * 2)
    np.testing.assert_array_equal(read_counts(table, ROWS, counts_layer=None)[0], counts[ROWS])
    with pytest.raises(KeyError, match=r"no layer 'counts'. Layers: \['raw'\]"):
        read_counts(table, ROWS, counts_layer="counts")
    table.X = None
    with pytest.raises(ValueError, match=r"no X\. .*\['raw'\]"):
        read_counts(table, ROWS)


def test_genes(counts):
    table = table_of(counts)
    with pytest.raises(KeyError, match=r"2 of 3 genes are not in var_names: 'ERBB2', 'FASN'.*pp\.select_genes"):
        read_counts(table, ROWS, genes=["ERBB2", "g1", "FASN"])
    with pytest.raises(ValueError, match="more than once: 'g1'"):
        read_counts(table, ROWS, genes=["g1", "g1"])
    table.var_names = ["g0", "g0", *table.var_names[2:]]
    with pytest.raises(ValueError, match=r"more than once \('g0'\).*var_names_make_unique"):
        read_counts(table, ROWS)


def test_the_table_stays_as_it_is(counts):
    table = table_of(counts, "csc")
    read, _ = read_counts(table, ROWS, genes=GENES)
    read.data[:] = -1
    np.testing.assert_array_equal(table.X.toarray(), counts)


def test_totals_are_exact_where_single_precision_is_not():
    values = np.zeros((N, G), dtype=np.float32)
    values[0, :2] = [2**24, 1]
    for form in ("dense", "csr"):
        assert read_counts(table_of(values, form), np.array([0]))[1][0] == 2**24 + 1


@pytest.mark.parametrize("kind", [np.array, sparse.csr_matrix])
def test_empty_prompts_are_dropped_with_a_warning(counts, kind):
    counts[[2, 11]] = 0
    kept, totals = read_counts(table_of(counts), ROWS)
    with pytest.warns(UserWarning, match=r"2 of 4 prompts have no counts at all and are not used: 's2', 's11'"):
        index, kept, totals = drop_empty_prompts(ROWS, kind(kept), totals, names=[f"s{i}" for i in ROWS])
    assert index.tolist() == [7, 3]
    assert kept.shape == (2, G)
    assert totals.tolist() == counts[[7, 3]].sum(axis=1).tolist()


def test_nothing_but_empty_prompts_is_an_error():
    with pytest.raises(ValueError, match="None of the 4 prompts has a single count"):
        drop_empty_prompts(ROWS, np.zeros((4, 2)), np.zeros(4))


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_what_was_found_is_no_count(make_section, form):
    adata = make_section(n_spots=60, n_genes=15)
    adata.X = form(np.asarray(adata.X.todense() if sparse.issparse(adata.X) else adata.X) > 0)
    phg2st.pp.sample_prompts(adata, fraction=0.3, seed=0)
    for call in (phg2st.pp.normalize, lambda a: phg2st.tl.predict(a, method="idw", progress=False)):
        with pytest.warns(UserWarning, match=r"X is boolean: it says whether a gene was found") as caught:
            call(adata)
        assert sum("boolean" in str(one.message) for one in caught) == 1


def test_a_mask_of_genes_is_no_list_of_names(make_section):
    adata = make_section(n_spots=60, n_genes=15)
    phg2st.pp.sample_prompts(adata, fraction=0.3, seed=0)
    with pytest.raises(TypeError, match=r"genes=data.var_names\[mask\]"):
        phg2st.tl.predict(adata, method="idw", genes=np.arange(15) < 3)
