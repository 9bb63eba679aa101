"""Numbers of spots, whatever they are kept in: the same values in the same order, or an error that says what is there."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from phg2st_sc._slide import n_columns, numbers, spot_numbers, spot_pairs

N = 6
NAMES = pd.Index([f"s{i}" for i in range(N)])
VALUES = np.random.default_rng(0).normal(size=(N, 4)).astype(np.float32)
ROWS = np.array([4, 0, 2])


def _structured():
    out = np.zeros(N, dtype=[(name, "f4") for name in "abcd"])
    for column, name in enumerate("abcd"):
        out[name] = VALUES[:, column]
    return out


def _dask(values):
    return pytest.importorskip("dask.array").from_array(values, chunks=(2, values.shape[1]))


def _xarray(values, **coords):
    return pytest.importorskip("xarray").DataArray(values, dims=("obs", "feature"), coords=coords)


def _on_disk(tmp_path):
    array = pytest.importorskip("zarr").open_array(tmp_path / "a.zarr", mode="w", shape=VALUES.shape, dtype="f4")
    array[:] = VALUES
    return array


FORMS = {
    "array": lambda _: VALUES,
    "fortran": lambda _: np.asfortranarray(VALUES),
    "frame": lambda _: pd.DataFrame(VALUES, index=NAMES),
    "frame with integer columns out of order": lambda _: pd.DataFrame(VALUES, index=NAMES, columns=[3, 0, 2, 1]),
    "shuffled frame": lambda _: pd.DataFrame(VALUES, index=NAMES).iloc[[3, 1, 0, 5, 4, 2]],
    "nullable frame": lambda _: pd.DataFrame(VALUES, index=NAMES).astype("Float32"),
    "arrow frame": lambda _: pd.DataFrame(VALUES, index=NAMES).astype("float[pyarrow]"),
    "object frame": lambda _: pd.DataFrame(VALUES, index=NAMES).astype(object),
    "sparse frame": lambda _: pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(VALUES), index=NAMES),
    "csr": lambda _: sparse.csr_matrix(VALUES),
    "csc": lambda _: sparse.csc_matrix(VALUES),
    "csr array": lambda _: sparse.csr_array(VALUES),
    "csc array": lambda _: sparse.csc_array(VALUES),
    "dask": lambda _: _dask(VALUES),
    "dask of csr": lambda _: _dask(VALUES).map_blocks(sparse.csr_matrix),
    "dask of csr arrays": lambda _: _dask(VALUES).map_blocks(sparse.csr_array),
    "structured": lambda _: _structured(),
    "structured as AnnData keeps it": lambda _: _structured()[:, None],
    "xarray": lambda _: _xarray(VALUES),
    "xarray with names": lambda _: _xarray(VALUES[::-1], obs=NAMES[::-1]),
    "lazy xarray": lambda _: _xarray(_dask(VALUES)),
    "objects": lambda _: VALUES.astype(object),
    "masked": lambda _: np.ma.masked_invalid(VALUES),
    "on disk": _on_disk,
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_has_the_same_values(form, tmp_path):
    values = FORMS[form](tmp_path)
    np.testing.assert_array_equal(numbers(values, "here", ROWS, names=NAMES).astype(np.float32), VALUES[ROWS])
    np.testing.assert_array_equal(numbers(values, "here", names=NAMES).astype(np.float32), VALUES)
    assert n_columns(values) == 4


def test_whole_numbers_and_booleans_stay_what_they_are():
    assert numbers(VALUES > 0, "here", ROWS).dtype == bool
    assert numbers(np.arange(12).reshape(6, 2), "here", ROWS).tolist() == [[8, 9], [0, 1], [4, 5]]


def test_gaps_and_masked_values_are_nan():
    masked = np.ma.array(VALUES, mask=VALUES > 1)
    frame = pd.DataFrame(VALUES, index=NAMES).astype("Float64").mask(VALUES > 1)
    for values in (masked, frame):
        np.testing.assert_array_equal(numbers(values, "here", names=NAMES), np.where(VALUES > 1, np.nan, VALUES))


BAD = {
    "complex": (lambda: VALUES + 1j, TypeError, "complex"),
    "complex csr": (lambda: sparse.csr_matrix(VALUES + 1j), TypeError, r"csr_matrix.*complex"),
    "masked complex": (lambda: np.ma.masked_invalid(VALUES + 1j), TypeError, "complex"),
    "times": (lambda: np.zeros((N, 2), dtype="datetime64[s]"), TypeError, "datetime64"),
    "words": (lambda: np.full((N, 2), "a", dtype=object), TypeError, "real numbers.*'a'"),
    "complex objects": (lambda: (VALUES + 1j).astype(object), TypeError, "real numbers"),
    "fields of words": (lambda: np.zeros(N, dtype=[("a", "f4"), ("b", "U2")]), TypeError, "real numbers"),
    "columns of words": (
        lambda: pd.DataFrame({"a": np.ones(N), "b": list("xyzxyz")}, index=NAMES),
        TypeError,
        r"no real numbers \('b'\).*select_dtypes",
    ),
    "categories": (
        lambda: pd.DataFrame({"a": pd.Categorical(list("xyzxyz"))}, index=NAMES),
        TypeError,
        r"no real numbers \('a'\)",
    ),
    "one dimension": (lambda: VALUES[:, 0], ValueError, r"shape \(6,\), where one row of numbers"),
    "three dimensions": (lambda: VALUES[:, :, None], ValueError, r"shape \(6, 4, 1\)"),
    "no column": (lambda: VALUES[:, :0], ValueError, r"shape \(6, 0\)"),
    "frame of other spots": (
        lambda: pd.DataFrame(VALUES, index=[f"t{i}" for i in range(N)]),
        ValueError,
        r"lacks 6 spots \('s0'",
    ),
    "frame with numbers for names": (
        lambda: pd.DataFrame(VALUES, index=[3, 1, 0, 5, 4, 2]),
        ValueError,
        r"lacks 6 spots",
    ),
    "frame that names a spot twice": (
        lambda: pd.DataFrame(VALUES, index=NAMES).iloc[[0, 1, 2, 3, 4, 5, 5]],
        ValueError,
        "more than once.*frame.loc",
    ),
}


@pytest.mark.parametrize("case", list(BAD))
def test_what_is_no_row_of_numbers_is_refused(case):
    make, error, message = BAD[case]
    with pytest.raises(error, match=message) as caught:
        numbers(make(), "obsm['X_a']", ROWS, names=NAMES)
    assert str(caught.value).startswith(("obsm['X_a']", "The index of obsm['X_a']"))


def test_blocks_of_rows():
    blocks = np.arange(36.0).reshape(6, 3, 2)
    np.testing.assert_array_equal(numbers(blocks, "here", ROWS, ndim=3), blocks[ROWS])
    with pytest.raises(ValueError, match="one block of rows"):
        numbers(VALUES, "here", ROWS, ndim=3)


# --- of a table -------------------------------------------------------------------------------------------------------
@pytest.fixture
def table():
    return anndata.AnnData(np.ones((N, 2), dtype=np.float32), obs=pd.DataFrame(index=NAMES))


def test_values_of_obsm_name_their_slot(table):
    table.obsm["X_a"] = pd.DataFrame(VALUES, index=NAMES, columns=[3, 0, 2, 1])
    np.testing.assert_array_equal(spot_numbers(table, "X_a", ROWS), VALUES[ROWS])
    table.obsm["X_a"] = VALUES + 1j
    with pytest.raises(TypeError, match=r"^obsm\['X_a'\]"):
        spot_numbers(table, "X_a", ROWS)


PAIRS = np.triu(np.arange(1.0, 37.0).reshape(N, N)).astype(np.float32)


@pytest.mark.parametrize("form", ["dense", "csr", "csc", "csr array", "frame", "dask"])
def test_pairs_of_spots_from_every_form(table, form):
    table.obsp["graph"] = {
        "dense": PAIRS,
        "csr": sparse.csr_matrix(PAIRS),
        "csc": sparse.csc_matrix(PAIRS),
        "csr array": sparse.csr_array(PAIRS),
        "frame": pd.DataFrame(PAIRS, index=NAMES, columns=NAMES),
        "dask": _dask(PAIRS),
    }[form]
    found = spot_pairs(table, "graph", ROWS)
    assert isinstance(found, sparse.csr_matrix)
    np.testing.assert_array_equal(found.toarray(), PAIRS[np.ix_(ROWS, ROWS)])
    np.testing.assert_array_equal(spot_pairs(table, "graph").toarray(), PAIRS)


def test_pairs_that_are_no_numbers(table):
    table.obsp["graph"] = np.where(PAIRS == 3, np.nan, PAIRS)
    with pytest.raises(ValueError, match=r"obsp\['graph'\] must hold finite real numbers"):
        spot_pairs(table, "graph")
