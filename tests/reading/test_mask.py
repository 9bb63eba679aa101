import anndata as ad
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import sparse

from phg2st_sc._reading._mask import full_mask, resolve_mask

N = 8
MEASURED = np.array([True, False, False, True, False, True, False, False])
ROWS = np.array([5, 0, 1, 6])


@pytest.fixture
def table():
    a = ad.AnnData(np.ones((N, 2), dtype=np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(N)]))
    a.obs["prompt"] = MEASURED
    a.obs["arrow"] = pd.array(MEASURED, dtype="bool[pyarrow]")
    a.obs["mine"] = pd.array(MEASURED, dtype="boolean")
    a.obs["kind"] = pd.Categorical(np.where(MEASURED, "yes", "no"))
    a.obs["number"] = MEASURED.astype(int)
    return a


def forms(table):
    by_name = pd.Series(MEASURED, index=table.obs_names)
    return {
        "column": "prompt",
        "nullable column": "mine",
        "none": None,
        "array": MEASURED,
        "list": MEASURED.tolist(),
        "extension": pd.array(MEASURED, dtype="boolean"),
        "categories of words": pd.Series(MEASURED, index=table.obs_names).astype(str).astype("category"),
        "words in small letters": np.where(MEASURED, "true", "false"),
        "categories of booleans": pd.Series(pd.Categorical(MEASURED), index=table.obs_names),
        "objects": MEASURED.astype(object),
        "series": by_name,
        "shuffled series": by_name.sample(frac=1, random_state=0),
        "nullable series": by_name.astype("boolean"),
        "reversed view": MEASURED[::-1][::-1],
        "arrow": pd.array(MEASURED, dtype="bool[pyarrow]"),
        "arrow series": by_name.astype("bool[pyarrow]"),
        "shuffled arrow series": by_name.astype("bool[pyarrow]").sample(frac=1, random_state=0),
        "arrow words": by_name.astype(str).astype("string[pyarrow]"),
        "arrow column": "arrow",
        "sparse series": by_name.astype(pd.SparseDtype(bool)),
        "sparse row": sparse.csr_matrix(MEASURED),
        "sparse column": sparse.csc_array(MEASURED[:, None]),
        "masked without gaps": np.ma.array(MEASURED),
        "named values in another order": xr.DataArray(MEASURED, dims="obs", coords={"obs": table.obs_names})[::-1],
    }


@pytest.mark.parametrize("form", list(forms(ad.AnnData(np.zeros((N, 1))))))
def test_every_form_gives_the_same_answer(table, form):
    mask = forms(table)[form]
    resolved = resolve_mask(table, ROWS, mask)
    assert resolved.dtype == bool
    np.testing.assert_array_equal(resolved, MEASURED[ROWS])
    np.testing.assert_array_equal(resolve_mask(table, None, mask), MEASURED)


def test_answer_is_a_copy(table):
    for mask in (MEASURED, None):
        resolve_mask(table, None, mask)[:] = True
        full_mask(table, MEASURED)[:] = True
    np.testing.assert_array_equal(table.obs["prompt"], MEASURED)
    assert MEASURED.sum() == 3


BAD = {
    "short": (lambda t: MEASURED[:5], ValueError, r"has 5 values, but the table has 8 rows"),
    "rows of the slide only": (lambda t: MEASURED[ROWS], ValueError, r"has 4 values.*whole table"),
    "matrix": (lambda t: MEASURED[:, None], ValueError, r"shape \(8, 1\)"),
    "zeros and ones": (lambda t: MEASURED.astype(int), TypeError, r"int64, not bool.*mask\.astype\(bool\)"),
    "row numbers": (lambda t: np.array([0, 3, 5]), TypeError, r"row numbers.*numpy\.isin"),
    "float": (lambda t: MEASURED.astype(float), TypeError, r"float64, not bool.*mask > 0\.5"),
    "names": (lambda t: ["s0", "s3"], TypeError, r"obs_names\.isin"),
    "set": (lambda t: {"s0"}, TypeError, r"is a set"),
    "frame": (lambda t: t.obs[["prompt"]], TypeError, r"one of its columns"),
    "categorical column": (lambda t: "kind", TypeError, r"obs\['kind'\] is of dtype category.*== 'yes'"),
    "integer column": (lambda t: "number", TypeError, r"data\.obs\['number'\]\.astype\(bool\)"),
    "No column": (lambda t: "measured", KeyError, r"no obs\['measured'\].*'prompt', 'arrow', 'mine'"),
    "gaps": (
        lambda t: pd.Series([True, None] + [False] * 6, index=t.obs_names),
        ValueError,
        r"1 missing values.*fillna\(False\)",
    ),
    "masked values": (
        lambda t: np.ma.array(MEASURED, mask=[True] + [False] * 7),
        ValueError,
        r"1 missing values.*pandas.Series\(mask\).fillna",
    ),
    "arrow gaps": (
        lambda t: pd.Series(pd.array([True, None] + [False] * 6, dtype="bool[pyarrow]"), index=t.obs_names),
        ValueError,
        r"1 missing values.*fillna\(False\)",
    ),
    "words with gaps": (
        lambda t: pd.Series(["True", None] + ["False"] * 6, index=t.obs_names),
        ValueError,
        r"1 missing values.*`\(mask.astype\(str\).str.lower\(\) == 'true'\)`",
    ),
    "categories of numbers": (
        lambda t: pd.Series(MEASURED.astype(int), index=t.obs_names).astype("category"),
        TypeError,
        r"`mask == 1`",
    ),
    "other words": (
        lambda t: pd.Series(np.where(MEASURED, "yes", "no"), index=t.obs_names),
        TypeError,
        r"`mask == 'yes'`",
    ),
    "series lacks spots": (
        lambda t: pd.Series(MEASURED, index=t.obs_names)[:6],
        ValueError,
        r"2 spots are missing \('s6', 's7'\).*reindex",
    ),
    "series of other spots": (
        lambda t: pd.Series(MEASURED, index=[f"t{i}" for i in range(N)]),
        ValueError,
        r"8 names are no spots \('t0', 't1', 't2', 't3', 't4', \.\.\.\)",
    ),
    "series with row numbers as index": (lambda t: pd.Series(MEASURED), ValueError, r"pass a plain array"),
    "series names a spot twice": (
        lambda t: pd.Series([*MEASURED, True], index=[*t.obs_names, "s0"]),
        ValueError,
        r"more than once \('s0'\)",
    ),
    "nothing measured": (lambda t: np.zeros(N, dtype=bool), ValueError, r"none of the 4 spots of slide 'C4'"),
    "all measured": (lambda t: np.ones(N, dtype=bool), ValueError, r"all 4 spots of slide 'C4'.*inverted"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_each_bad_mask_has_its_own_error_and_changes_nothing(table, case):
    make, error, message = BAD[case]
    before = table.copy()
    with pytest.raises(error, match=message):
        resolve_mask(table, ROWS, make(table), name="C4")
    pd.testing.assert_frame_equal(table.obs, before.obs)


def test_no_prompt_column_names_the_call_to_make(table):
    del table.obs["prompt"]
    with pytest.raises(KeyError, match=r"pp\.sample_prompts\(data\)"):
        resolve_mask(table, ROWS, None)


def test_zero_and_all_prompts_can_be_allowed(table):
    assert not resolve_mask(table, ROWS, np.zeros(N, dtype=bool), allow_zero=True).any()
    assert resolve_mask(table, ROWS, np.ones(N, dtype=bool), allow_all=True).all()
    # what counts are the rows asked for
    with pytest.raises(ValueError, match="none of the 2"):
        resolve_mask(table, np.array([1, 2]), MEASURED)


# --- what messages print ----------------------------------------------------------------------------------------------
WAYS = {
    "masked": lambda t: np.ma.array(MEASURED, mask=[False, True] + [False] * 6),
    "objects": lambda t: np.array([*MEASURED[:-1], None], dtype=object),
    "arrow": lambda t: pd.Series(pd.array([*MEASURED[:-1], None], dtype="bool[pyarrow]"), index=t.obs_names),
    "words": lambda t: pd.Series([*MEASURED.astype(str)[:-1], None], index=t.obs_names),
    "array of words": lambda t: np.array([*MEASURED.astype(str)[:-1], None], dtype=object),
    "categories": lambda t: pd.Series([*MEASURED.astype(str)[:-1], None], index=t.obs_names, dtype="category"),
}


@pytest.mark.parametrize("case", list(WAYS))
def test_the_way_to_say_what_gaps_are_works_as_it_is_printed(table, case):
    mask = WAYS[case](table)
    with pytest.raises(ValueError, match="1 missing values") as caught:
        full_mask(table, mask)
    code = str(caught.value).split("e.g. `")[1].split("`")[0]
    mended = eval(code, {"mask": mask, "pandas": pd})
    np.testing.assert_array_equal(full_mask(table, mended), MEASURED)


def test_names_that_are_numbers_only_outside_of_the_object(table):
    table.obs_names = [str(i) for i in range(N)]
    shuffled = pd.Series(MEASURED).sample(frac=1, random_state=0)
    np.testing.assert_array_equal(full_mask(table, shuffled), MEASURED)
