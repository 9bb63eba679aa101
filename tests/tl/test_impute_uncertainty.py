"""`tl.impute(uncertainty=True)`: the slots, what they rest on, and when they go."""

import anndata as ad
import numpy as np
import pytest
from scipy import sparse

import phg2st_sc as phg2st

COLUMNS = ("layers", "phg2st_std"), ("obs", "phg2st_trust")


@pytest.fixture
def section():
    adata = phg2st.datasets.simulate(n_spots=150, n_genes=40, image=False, seed=0, progress=False)
    phg2st.pp.sample_prompts(adata, fraction=0.2, seed=0)
    return adata


def impute(adata, **settings):
    phg2st.tl.impute(adata, progress=False, **{"method": "phg2st", "uncertainty": True, **settings})


def test_the_prediction_is_the_same_bits(section):
    impute(section)
    assessed = section.layers["phg2st"].copy()
    impute(section, uncertainty=False)
    np.testing.assert_array_equal(section.layers["phg2st"], assessed)


@pytest.mark.parametrize("method", ["phg2st", "kriging", "idw"])
def test_what_is_far_from_prompts_is_less_certain(section, method):
    section.obs["prompt"] = section.obsm["spatial"][:, 0] < np.quantile(section.obsm["spatial"][:, 0], 0.3)
    impute(section, method=method)
    far = section.obsm["spatial"][:, 0] > np.quantile(section.obsm["spatial"][:, 0], 0.8)
    near = section.obs["prompt"].to_numpy()
    std, trust = section.layers[f"{method}_std"], section.obs[f"{method}_trust"].to_numpy()
    assert np.isfinite(std).all()
    assert (std >= 0).all()
    assert ((trust >= 0) & (trust <= 1)).all()
    assert trust[near].min() > trust[far].max()


@pytest.mark.parametrize("method", ["phg2st", "kriging", "idw"])
def test_rows_that_were_not_measured_change_no_bit(section, method):
    hidden = section.copy()
    hidden.X = sparse.csr_matrix(section.X).toarray().astype(np.float32)
    hidden.X[~section.obs["prompt"].to_numpy()] = np.nan
    for one in (section, hidden):
        impute(one, method=method)
    np.testing.assert_array_equal(section.layers[f"{method}_std"], hidden.layers[f"{method}_std"])
    np.testing.assert_array_equal(section.obs[f"{method}_trust"], hidden.obs[f"{method}_trust"])


def test_slots_go_when_they_are_not_asked_for(section):
    impute(section)
    assert all(name in getattr(section, slot) for slot, name in COLUMNS)
    impute(section, uncertainty=False)
    assert not any(name in getattr(section, slot) for slot, name in COLUMNS)
    assert "trust" not in section.uns["phg2st"]


def test_a_column_of_the_users_own_is_not_written_over(section):
    section.obs["phg2st_trust"] = 1.0
    with pytest.raises(ValueError, match="phg2st_trust"):
        impute(section)
    assert "phg2st" not in section.layers
    impute(section, uncertainty=False)
    assert (section.obs["phg2st_trust"] == 1.0).all()


def test_through_a_file(section, tmp_path):
    impute(section)
    section.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.layers["phg2st_std"], section.layers["phg2st_std"])
    assert set(back.uns["phg2st"]["trust"]) == set(section.uns["phg2st"]["trust"])
    impute(back, uncertainty=False)
    assert "phg2st_std" not in back.layers


def test_few_genes_are_those_of_all(section):
    impute(section)
    every = section.layers["phg2st_std"].copy()
    genes = list(section.var_names[[5, 2, 30]])
    impute(section, genes=genes)
    there = section.var["phg2st_predicted"].to_numpy()
    np.testing.assert_allclose(section.layers["phg2st_std"][:, there], every[:, there], rtol=0.5)
    assert np.isnan(section.layers["phg2st_std"][:, ~there]).all()


def test_too_few_prompts_say_so(section):
    section.obs["prompt"] = np.arange(section.n_obs) < 6
    with pytest.warns(UserWarning, match="No uncertainty on slide 'P1_S1': 6 prompts are too few"):
        impute(section, n_samples=2)
    assert not [name for name in map(str, section.layers) if name.startswith("phg2st_")]
    (said,) = section.uns["phg2st"]["trust"].values()
    assert "6 prompts are too few" in said["sentence"]


def test_a_table_of_its_own_has_them(section):
    table = phg2st.tl.impute(section, method="kriging", uncertainty=True, write="table", progress=False)
    assert table.layers["std"].shape == table.shape
    assert "trust" in table.obs


def test_scores_in_place_of_a_layer_keep_what_is_said_of_spots(section):
    impute(section, low_rank=10)
    assert "phg2st_std" not in section.layers
    trust = section.obs["phg2st_trust"].copy()
    phg2st.tl.expand(section, progress=False)
    np.testing.assert_array_equal(section.obs["phg2st_trust"], trust)


def test_drawn_maps_have_the_mean_and_the_spread_of_the_prediction(section):
    impute(section, n_samples=60)
    drawn = np.stack([section.layers[f"phg2st_sample_{number}"] for number in range(60)])
    mean, std = section.layers["phg2st"], section.layers["phg2st_std"]
    inner = mean > 3.0 * std  # not cut off at zero
    assert inner.mean() > 0.1
    np.testing.assert_allclose(drawn.mean(axis=0)[inner], mean[inner], atol=0.6 * std[inner].max())
    assert 0.85 < np.median(drawn.std(axis=0)[inner] / std[inner]) < 1.15
    assert (drawn >= 0).all()


def test_errors_of_neighbors_hang_together(section):
    impute(section, n_samples=40)
    mean = section.layers["phg2st"]
    off = np.stack([section.layers[f"phg2st_sample_{number}"] - mean for number in range(40)])
    places = section.obsm["spatial"]
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    pitch = np.sort(distance, axis=1)[:, 1].min()
    gene = int(np.argmax(mean.mean(axis=0)))
    together = np.corrcoef(off[:, :, gene].T)
    near, far = (distance > 0) & (distance < 1.2 * pitch), distance > 8 * pitch
    # most of what a spot is wrong by here is its own
    assert together[near].mean() > together[far].mean() + 0.04


def test_maps_go_with_the_next_call_and_are_the_same_for_a_seed(section):
    impute(section, n_samples=3)
    before = section.layers["phg2st_sample_2"].copy()
    impute(section, n_samples=1)
    assert [name for name in map(str, section.layers) if "sample" in name] == ["phg2st_sample_0"]
    impute(section, n_samples=3)
    np.testing.assert_array_equal(section.layers["phg2st_sample_2"], before)
    impute(section, uncertainty=False)
    assert not [name for name in map(str, section.layers) if "sample" in name]


@pytest.mark.parametrize("wrong", [-1, 101, 2.5, True])
def test_a_number_of_maps_that_is_none(section, wrong):
    with pytest.raises(ValueError, match="n_samples"):
        impute(section, n_samples=wrong)
    with pytest.raises(ValueError, match="low_rank"):
        impute(section, n_samples=2, low_rank=5)
