"""Which spots to measure next: what is read, what is written, and what is refused."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

import phg2st_sc as phg2st

SETTINGS = {"n_spots": 120, "n_genes": 40, "image": False, "progress": False, "seed": 0}


def simulated(**settings):
    return phg2st.datasets.simulate(**SETTINGS | settings)


def suggested(adata, n=12, **settings):
    phg2st.tl.suggest_spots(adata, n=n, progress=False, **settings)
    return adata.obs["suggested"].to_numpy(), adata.obs["suggested_rank"].to_numpy()


def test_ranks_count_the_suggested_spots():
    adata = simulated()
    mask, rank = suggested(adata)
    assert mask.dtype == bool
    assert sorted(rank[mask]) == list(range(1, 13))
    assert (rank[~mask] == 0).all()
    record = adata.uns["phg2st_suggested"]
    assert record["design"] == "variance"
    assert record["n_suggested"].tolist() == [12]
    assert 0 < record["open_after"][0] < record["open_before"][0]


def test_the_first_of_many_are_those_of_few():
    adata = simulated()
    few = suggested(adata, 5)[0]
    _, rank = suggested(adata, 12)
    np.testing.assert_array_equal(few, (rank > 0) & (rank <= 5))


def test_the_same_again_with_the_same_seed_and_in_any_order_of_rows():
    adata = simulated()
    first = suggested(adata)[1]
    np.testing.assert_array_equal(first, suggested(adata)[1])
    shuffled = adata[np.random.default_rng(0).permutation(adata.n_obs)].copy()
    _, rank = suggested(shuffled)
    np.testing.assert_array_equal(first, pd.Series(rank, shuffled.obs_names)[adata.obs_names])


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("with_model", [False, True])
def test_expression_that_was_not_measured_is_not_read(prompted, with_model):
    adata, model = simulated(), None
    if prompted:
        phg2st.pp.sample_prompts(adata, fraction=0.2)
    if with_model:
        others = phg2st.datasets.simulate(n_slides=2, n_patients=2, **SETTINGS | {"seed": 5})
        model = phg2st.tl.train(others, progress=False)
    expected = suggested(adata, model=model)[1]
    counts = np.asarray(adata.X.todense() if hasattr(adata.X, "todense") else adata.X, dtype=np.float32)
    hidden = ~adata.obs["prompt"].to_numpy() if prompted else np.ones(adata.n_obs, dtype=bool)
    counts[hidden] = np.nan
    other = anndata.AnnData(counts, obs=adata.obs.drop(columns=["suggested", "suggested_rank"]), var=adata.var)
    other.obsm["spatial"], other.uns["spatial"] = adata.obsm["spatial"], adata.uns["spatial"]
    np.testing.assert_array_equal(expected, suggested(other, model=model)[1])


def test_measured_spots_are_not_suggested_and_matter():
    adata = simulated()
    left = adata.obsm["spatial"][:, 0] < np.median(adata.obsm["spatial"][:, 0])
    mask, _ = suggested(adata, prompt_mask=left)
    assert not (mask & left).any()
    unprompted, _ = suggested(adata, prompt_mask=np.zeros(adata.n_obs, dtype=bool))
    assert (unprompted & left).any()


def test_obs_prompt_is_what_was_measured():
    adata = simulated()
    phg2st.pp.sample_prompts(adata, fraction=0.3)
    mask, _ = suggested(adata)
    assert not (mask & adata.obs["prompt"]).any()
    assert adata.uns["phg2st_suggested"]["n_measured"].tolist() == [36]


def test_within_holds_for_suggestions_and_targets_need_it():
    adata = simulated()
    adata.obs["reachable"] = np.arange(adata.n_obs) % 3 == 0
    mask, _ = suggested(adata, within="reachable")
    assert adata.obs["reachable"][mask].all()
    finer = phg2st.pp.add_targets(simulated(), pitch_um=50, platform="Visium", region="capture")
    mask, _ = suggested(finer)
    assert not (mask & finer.obs["phg2st_target"]).any()
    mask, _ = suggested(finer, within="phg2st_target")
    assert finer.obs["phg2st_target"][mask].all()


def test_a_block_is_one_area():
    adata = simulated()
    mask, _ = suggested(adata, 16, region="block")
    where = adata.obsm["spatial"][mask]
    others = adata.obsm["spatial"][~mask]
    inside = ((others > where.min(axis=0)) & (others < where.max(axis=0))).all(axis=1)
    assert mask.sum() == 16
    assert not inside.any()


def test_slides_are_planned_one_by_one():
    two = phg2st.datasets.simulate(n_slides=2, **SETTINGS)
    both = anndata.concat(two, label="slide", index_unique="-", uns_merge="first")
    suggested(both, 7, slide_key="slide")
    assert both.obs.groupby("slide", observed=True)["suggested"].sum().tolist() == [7, 7]
    assert both.obs.groupby("slide", observed=True)["suggested_rank"].max().tolist() == [7, 7]
    only = both.obs["slide"] == both.obs["slide"].iloc[0]
    suggested(both, 7, slide_key="slide", within=only)
    assert both.uns["phg2st_suggested"]["n_suggested"].tolist() == [7, 0]


def test_one_candidate_and_every_candidate():
    adata = simulated()
    only = np.arange(adata.n_obs) == 5
    np.testing.assert_array_equal(suggested(adata, 1, within=only)[0], only)
    assert suggested(adata, adata.n_obs)[0].all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n": 121}, "n=121 spots are asked for, and slide .* has 120"),
        ({"n": 0}, "n=0 must be an integer of at least 1"),
        ({"n": True}, "n=True must be an integer"),
        ({"n": 2.5}, "n=2.5 must be an integer"),
        ({"n": 5, "region": "square"}, "`region` is None .* or 'block'"),
        ({"n": 5, "within": np.arange(120) < 4}, "has 4 that are within"),
        ({"n": 5, "key_added": "mine"}, "mine"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(settings, message):
    adata = simulated()
    adata.obs["mine"] = 1.0
    before = list(adata.obs.columns), list(adata.uns)
    with pytest.raises(ValueError, match=message):
        phg2st.tl.suggest_spots(adata, **settings)
    assert (list(adata.obs.columns), list(adata.uns)) == before


def test_a_view_and_another_method_are_refused():
    adata = simulated()
    with pytest.raises(ValueError, match="view"):
        phg2st.tl.suggest_spots(adata[:50], n=3)
    kriging = phg2st.tl.train(simulated(n_slides=2), method="kriging", progress=False)
    with pytest.raises(ValueError, match="'kriging'.*'phg2st'"):
        phg2st.tl.suggest_spots(adata, n=3, model=kriging)


def test_copy_leaves_the_object_alone():
    adata = simulated()
    out = phg2st.tl.suggest_spots(adata, n=4, copy=True)
    assert "suggested" not in adata.obs
    assert int(out.obs["suggested"].sum()) == 4


def test_an_image_moves_suggestions(give_features):
    adata = simulated()
    flat = suggested(adata)[1]
    give_features(adata)
    assert (suggested(adata)[1] != flat).any()


def test_spatialdata_and_its_store(tmp_path):
    sd = pytest.importorskip("spatialdata")
    sdata = phg2st.datasets.simulate(container="spatialdata", **SETTINGS)
    with pytest.raises(ValueError, match="no store behind"):
        phg2st.tl.suggest_spots(sdata, n=6, write=True)
    sdata.write(tmp_path / "s.zarr")
    phg2st.tl.suggest_spots(sdata, n=6, write=True)
    back = sd.read_zarr(tmp_path / "s.zarr")["table"]
    expected = suggested(simulated(), 6)[1]
    np.testing.assert_array_equal(
        back.obs["suggested_rank"], pd.Series(expected, simulated().obs_names)[back.obs_names]
    )
    assert back.uns["phg2st_suggested"]["n_suggested"].tolist() == [6]
    phg2st.tl.suggest_spots(sdata, n=3, write=True)
    assert sd.read_zarr(tmp_path / "s.zarr")["table"].obs["suggested"].sum() == 3
