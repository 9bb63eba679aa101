import anndata as ad
import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st


def slides(sizes, name="slide"):
    parts = []
    for letter, (nx, ny) in zip("ABCDEF", sizes, strict=False):
        obs = pd.DataFrame({name: letter}, index=[f"{letter}{i}" for i in range(nx * ny)])
        part = ad.AnnData(np.full((nx * ny, 3), np.nan, dtype=np.float32), obs=obs)
        part.obsm["spatial"] = np.argwhere(np.ones((nx, ny))) * 200.0
        parts.append(part)
    whole = ad.concat(parts)
    whole.obs[name] = whole.obs[name].astype("category")
    return whole


@pytest.fixture
def table():
    return slides([(10, 9)])


@pytest.mark.parametrize("strategy", ["random", "poisson", "grid", "squares", "block"])
def test_exact_number_seeded_and_recorded(table, strategy):
    phg2st.pp.sample_prompts(table, fraction=0.13, strategy=strategy, seed=2)
    first = table.obs["prompt"].copy()
    assert first.dtype == bool
    assert first.sum() == round(0.13 * 90)
    record = table.uns["phg2st_prompt"]
    assert record["strategy"] == strategy
    assert record["seed"] == 2
    assert record["n_prompts"].tolist() == [12]
    phg2st.pp.sample_prompts(table, fraction=0.13, strategy=strategy, seed=2)
    assert table.obs["prompt"].equals(first)
    phg2st.pp.sample_prompts(table, fraction=0.13, strategy=strategy, seed=3)
    assert not table.obs["prompt"].equals(first)


def test_n_and_tiny_fraction(table):
    phg2st.pp.sample_prompts(table, n=7, key_added="seven")
    phg2st.pp.sample_prompts(table, fraction=0.001, key_added="one")
    assert table.obs["seven"].sum() == 7
    assert table.obs["one"].sum() == 1
    assert "phg2st_seven" in table.uns


def test_each_slide_is_drawn_for_itself():
    table = slides([(10, 9), (5, 8), (10, 9)])
    shuffled = table[np.random.default_rng(0).permutation(table.n_obs)].copy()
    phg2st.pp.sample_prompts(table, fraction=0.1, slide_key="slide")
    assert table.obs.groupby("slide", observed=True)["prompt"].sum().tolist() == [9, 4, 9]
    drawn = table.obs["prompt"].to_numpy()
    assert (drawn[:90] != drawn[130:]).any(), "slides of one shape must not share their prompts"
    pair = table[table.obs["slide"] != "B"].copy()
    phg2st.pp.sample_prompts(pair, fraction=0.1, slide_key="slide")
    assert pair.obs["prompt"].equals(table.obs["prompt"][pair.obs_names])
    phg2st.pp.sample_prompts(shuffled, fraction=0.1, slide_key="slide")
    assert shuffled.obs.groupby("slide", observed=True)["prompt"].sum().tolist() == [9, 4, 9]


def test_record_survives_a_file(table, tmp_path):
    phg2st.pp.sample_prompts(table)
    table.write_h5ad(tmp_path / "a.h5ad")
    table.write_zarr(tmp_path / "a.zarr")
    for back in (ad.read_h5ad(tmp_path / "a.h5ad"), ad.read_zarr(tmp_path / "a.zarr")):
        assert back.obs["prompt"].equals(table.obs["prompt"])
        assert list(back.uns["phg2st_prompt"]["slides"]) == list(table.uns["phg2st_prompt"]["slides"])
        phg2st.pp.sample_prompts(back, seed=9)  # knows that the column was drawn


def test_measured_spots_of_the_user_are_not_overwritten(table):
    table.obs["prompt"] = np.arange(90) < 5
    with pytest.raises(ValueError, match=r"may hold what you really measured.*key_added="):
        phg2st.pp.sample_prompts(table)
    assert table.obs["prompt"].sum() == 5
    phg2st.pp.sample_prompts(table, key_added="drawn")
    assert table.obs["drawn"].sum() == 9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fraction": 0}, "fraction=0 must be"),
        ({"fraction": 1.0}, "fraction=1.0 must be"),
        ({"fraction": 10}, "fraction=10 must be"),
        ({"fraction": float("nan")}, "fraction=nan must be"),
        ({"fraction": "a tenth"}, "fraction='a tenth' must be"),
        ({"fraction": 0.999}, "90 prompts of the 90 spots .* at most n=89"),
        ({"n": 0}, "n=0 must be"),
        ({"n": 4.0}, "n=4.0 must be"),
        ({"n": 90}, "would leave no spot to predict"),
        ({"strategy": "blue"}, "no strategy 'blue'"),
        ({"seed": None}, "seed=None must be"),
        ({"seed": -1}, "seed=-1 must be"),
    ],
)
def test_bad_arguments_change_nothing(table, arguments, message):
    with pytest.raises(ValueError, match=message):
        phg2st.pp.sample_prompts(table, **arguments)
    assert list(table.obs.columns) == ["slide"]
    assert not table.uns


def test_view_and_missing_coordinates(table):
    with pytest.raises(ValueError, match="view"):
        phg2st.pp.sample_prompts(table[:50])
    del table.obsm["spatial"]
    with pytest.raises(KeyError, match="spatial"):
        phg2st.pp.sample_prompts(table)


@pytest.mark.parametrize("form", ["column", "array", "series"])
def test_drawn_within_the_measured_spots(table, form):
    measured = np.arange(90) % 3 > 0
    table.obs["measured"] = measured
    series = pd.Series(measured, index=table.obs_names)[::-1]
    within = {"column": "measured", "array": measured, "series": series}[form]
    phg2st.pp.sample_prompts(table, fraction=0.5, within=within, strategy="poisson")
    drawn = table.obs["prompt"].to_numpy()
    assert drawn.sum() == 30
    assert not drawn[~measured].any()
    assert table.uns["phg2st_prompt"]["n_within"].tolist() == [60]


def test_a_slide_without_measured_spots_gets_no_prompt():
    table = slides([(10, 9), (5, 8)])
    phg2st.pp.sample_prompts(table, n=5, within=np.arange(130) < 50, slide_key="slide")
    assert table.uns["phg2st_prompt"]["n_prompts"].tolist() == [5, 0]
    assert table.obs["prompt"].to_numpy()[:50].sum() == 5


def test_within_everything_draws_what_is_drawn_without(table):
    phg2st.pp.sample_prompts(table, key_added="a")
    phg2st.pp.sample_prompts(table, key_added="b", within=np.ones(90, dtype=bool))
    assert (table.obs["a"] == table.obs["b"]).all()


def test_within_that_does_not_fit(table):
    with pytest.raises(ValueError, match=r"5 prompts of the 5 spots of slide 'slide' \(those within `within=`\).*n=4"):
        phg2st.pp.sample_prompts(table, n=5, within=np.arange(90) < 5)
    with pytest.raises(ValueError, match="`within` marks no spot"):
        phg2st.pp.sample_prompts(table, within=np.zeros(90, dtype=bool))
    with pytest.raises(KeyError, match="nowhere"):
        phg2st.pp.sample_prompts(table, within="nowhere")
    with pytest.raises(TypeError, match="bool"):
        phg2st.pp.sample_prompts(table, within=np.ones(90))
