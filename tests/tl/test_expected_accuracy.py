"""What accuracy to expect of a budget: rows, bounds, what is read and what is refused."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st

SETTINGS = {"n_spots": 150, "n_genes": 50, "image": False, "progress": False, "seed": 0}


def expected(adata, **settings):
    return phg2st.tl.expected_accuracy(adata, progress=False, **settings)


def test_a_row_for_each_design_and_share_that_pl_draws():
    accuracy = expected(phg2st.datasets.simulate(**SETTINGS), fractions=[0.2, 0.04])
    assert accuracy["design"].tolist() == ["random", "random", "suggested", "suggested"]
    assert accuracy["n_prompts"].tolist() == [6, 30, 6, 30]
    assert (accuracy["lower"] < accuracy["expected"]).all()
    assert (accuracy["expected"] < accuracy["upper"]).all()
    assert accuracy.groupby("design")["expected"].is_monotonic_increasing.all()
    assert accuracy.attrs["left_out"] == {}
    assert phg2st.pl.budget(accuracy).get_ylabel() == "expected correlation"


def test_prompts_narrow_the_bounds_and_nothing_else_is_read():
    adata = phg2st.datasets.simulate(**SETTINGS)
    before = expected(adata, fractions=[0.4])
    phg2st.pp.sample_prompts(adata, fraction=0.25)
    after = expected(adata, fractions=[0.1, 0.4])
    assert after["n_prompts"].tolist() == [38, 60, 38, 60]
    wide, narrow = (one["upper"] / one["lower"] for one in (before.iloc[[0]], after.iloc[[1]]))
    assert narrow.item() < wide.item()
    assert list(after.attrs["left_out"]) == ["P1_S1"]
    counts = np.array(adata.X.toarray(), dtype=np.float32)
    counts[~adata.obs["prompt"].to_numpy()] = np.nan
    other = anndata.AnnData(
        counts, obs=adata.obs, var=adata.var, uns=adata.uns, obsm={"spatial": adata.obsm["spatial"]}
    )
    pd.testing.assert_frame_equal(expected(other, fractions=[0.1, 0.4]), after)


def test_what_is_promised_lies_near_what_is_reached():
    adata = phg2st.datasets.simulate(**SETTINGS | {"n_spots": 300, "n_genes": 80})
    phg2st.pp.sample_prompts(adata, fraction=0.2)
    said = expected(adata, fractions=[0.2]).query("design == 'random'")
    phg2st.tl.impute(adata, progress=False)
    reached = phg2st.tl.evaluate(adata, n_splits=0, progress=False).attrs["means"]["phg2st"]["pcc"]
    assert said["lower"].item() <= reached <= said["upper"].item()


def test_slides_have_rows_of_their_own():
    two = phg2st.datasets.simulate(n_slides=2, **SETTINGS)
    both = anndata.concat(two, label="slide", index_unique="-", uns_merge="first")
    accuracy = expected(both, fractions=0.1, slide_key="slide")
    assert accuracy["slide"].unique().tolist() == sorted(two)
    assert len(accuracy) == 4


def test_a_slide_that_was_measured_throughout_has_nothing_to_come():
    adata = phg2st.datasets.simulate(**SETTINGS)
    accuracy = expected(adata, prompt_mask=np.ones(adata.n_obs, dtype=bool))
    assert accuracy.empty
    assert "expected" in accuracy


def test_spatialdata_says_the_same():
    pytest.importorskip("spatialdata")
    sdata = phg2st.datasets.simulate(container="spatialdata", **SETTINGS)
    one, other = (expected(data, fractions=[0.1]) for data in (sdata, phg2st.datasets.simulate(**SETTINGS)))
    pd.testing.assert_frame_equal(one.drop(columns="slide"), other.drop(columns="slide"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fractions": []}, "`fractions` is empty"),
        ({"fractions": [0.1, 1.0]}, "`fractions` holds 1.0"),
        ({"fractions": [0.0]}, "`fractions` holds 0.0"),
        ({"fractions": ["a"]}, "`fractions` holds 'a'"),
        ({"level": 1.5}, "level=1.5 must be"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        expected(phg2st.datasets.simulate(**SETTINGS), **settings)


def test_shares_are_of_spots_that_can_be_measured():
    adata = phg2st.datasets.simulate(**SETTINGS)
    phg2st.pp.sample_prompts(adata, n=30)
    counts = adata.X.toarray()
    counts[np.flatnonzero(adata.obs["prompt"])[:3]] = 0
    adata.X = counts
    both = phg2st.pp.add_targets(adata, pitch_um=50, platform="Visium", region="capture")
    with pytest.warns(UserWarning, match="3 of 30 prompts have no counts"):
        made = expected(both, fractions=[0.4])
    assert made["n_prompts"].tolist() == [30, 60, 30, 60]
    np.testing.assert_allclose(made["fraction"], [0.2, 0.4, 0.2, 0.4])
