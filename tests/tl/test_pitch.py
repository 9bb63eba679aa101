"""The unit of distances from `impute` to `evaluate`: told, measured off a lattice with a message, and kept with the prediction."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pytest

import phg2st_sc as phg2st

OFF = "lie on no lattice, as beads and cells do"


def beads(n=300, pitch=77.0, doubles=0.0, seed=0):
    """Counts of a smooth field at points thrown at random, each with a square of a pitch to itself."""
    rng = np.random.default_rng(seed)
    places = rng.random((n, 2)) * np.sqrt(n)
    twice = places[rng.random(n) < doubles]
    places = np.concatenate([places, twice + 0.02])
    waves = rng.normal(size=(2, 12)) * 0.35
    rate = np.exp(np.sin(places @ waves + rng.random(12) * 6))
    adata = ad.AnnData(rng.poisson(20 * rate).astype(np.float32))
    adata.obs_names = [f"bead{i}" for i in range(adata.n_obs)]
    adata.obsm["spatial"] = places * pitch
    return adata


@pytest.fixture
def adata():
    adata = beads()
    phg2st.pp.sample_prompts(adata, fraction=0.2)
    return adata


def correlation(adata, method, **said):
    predicted = phg2st.tl.predict(adata, method=method, **said)
    rest = ~adata.obs["prompt"].to_numpy()
    truth = np.log1p(adata.X / adata.X.sum(axis=1, keepdims=True) * 100)[rest]
    made = np.asarray(predicted.X)[rest]
    return np.mean([np.corrcoef(truth[:, g], made[:, g])[0, 1] for g in range(adata.n_vars)])


@pytest.mark.parametrize("doubles", [0.0, 0.2])
@pytest.mark.parametrize("method", ["kriging", "phg2st", "idw"])
def test_not_told_is_as_good_as_told(method, doubles):
    adata = beads(doubles=doubles)
    phg2st.pp.sample_prompts(adata, fraction=0.2)
    told = correlation(adata, method, pitch=77.0)
    with pytest.warns(UserWarning, match=OFF):
        untold = correlation(adata, method)
    assert untold > told - 0.01
    assert told > 0.3


def test_it_is_told_once_for_all_slides_with_what_to_pass(adata):
    adata.obs["slide"] = np.where(np.arange(adata.n_obs) % 2 == 0, "a", "b")
    with pytest.warns(UserWarning, match=OFF) as caught:
        phg2st.tl.predict(adata, method="idw", slide_key="slide")
    (message,) = [str(one.message) for one in caught if OFF in str(one.message)]
    assert message.startswith("The spots of 2 of 2 slide(s)")
    assert "('a': 1" in message
    assert "`pitch=`" in message


def test_a_lattice_is_not_spoken_of():
    adata = phg2st.datasets.simulate(n_spots=60, n_genes=20, image=False, progress=False)
    phg2st.pp.sample_prompts(adata, fraction=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.tl.impute(adata, method="kriging")
        phg2st.tl.evaluate(adata, layer="kriging", n_splits=0)
    assert "pitch" not in adata.uns["kriging"]


def test_evaluate_counts_distances_as_impute_did(adata):
    phg2st.tl.impute(adata, method="kriging", pitch=40.0)
    kept = phg2st.tl.evaluate(adata, layer="kriging", n_splits=0)
    assert adata.uns["kriging"]["pitch"] == {"slide": 40.0}
    same = phg2st.tl.evaluate(adata, layer="kriging", pitch=40.0, n_splits=0)
    other = phg2st.tl.evaluate(adata, layer="kriging", pitch=80.0, n_splits=0)
    assert kept["pcc"].equals(same["pcc"])
    assert not kept["pcc"].equals(other["pcc"])


def test_what_was_measured_is_kept_too(adata):
    with pytest.warns(UserWarning, match=OFF):
        phg2st.tl.impute(adata, method="kriging")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whole = phg2st.tl.evaluate(adata, layer="kriging", n_splits=0)
        compared = phg2st.tl.evaluate(adata, layer="kriging", compare={"again": "kriging"}, n_splits=0)
        phg2st.tl.evaluate(adata[:200].copy(), layer="kriging", n_splits=0)
    assert whole["pcc"].equals(compared.loc[compared["method"] == "again", "pcc"].reset_index(drop=True))


def test_it_is_kept_in_a_file(adata, tmp_path):
    phg2st.tl.impute(adata, method="idw", pitch={"slide": 40.0})
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    assert phg2st.tl.evaluate(again, layer="idw", n_splits=0)["pcc"].equals(
        phg2st.tl.evaluate(adata, layer="idw", n_splits=0)["pcc"]
    )


def test_micrometres_tell_it_where_the_size_of_a_pixel_is_known(adata):
    adata.uns["spatial"] = {"slide": {"images": {}, "scalefactors": {}, "metadata": {"mpp": 0.5}}}
    by_um = phg2st.tl.predict(adata, method="kriging", pitch_um=38.5)
    assert np.array_equal(by_um.X, phg2st.tl.predict(adata, method="kriging", pitch=77.0).X)


def test_every_function_that_counts_distances_takes_it(adata):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        phg2st.pp.build_hypergraph(adata, builder="radius", radius=1.5, pitch=77.0)
        near = adata.obsp["hypergraph_incidence"].nnz
        phg2st.pp.build_hypergraph(adata, builder="radius", radius=1.5, pitch=154.0)
        assert adata.obsp["hypergraph_incidence"].nnz > 2 * near
        model = phg2st.tl.train({"a": beads(seed=1), "b": beads(seed=2)}, method="kriging", pitch={"a": 70, "b": 80})
        phg2st.tl.impute(adata, model=model, pitch=77.0)
        table = phg2st.tl.benchmark(
            adata, methods=["kriging"], folds=None, n_masks=1, n_splits=0, pitch=77.0, progress=False
        )
    assert not (table["metric"] == "error").any()


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), "77", True, {"slide": 0}])
def test_a_pitch_is_a_number_above_0(adata, bad):
    with pytest.raises(ValueError, match="`pitch` must be a number above 0"):
        phg2st.tl.predict(adata, method="idw", pitch=bad)


def test_a_dict_names_every_slide(adata):
    with pytest.raises(KeyError, match="`pitch=` has no entry for slide 'slide', only for 'other'"):
        phg2st.tl.predict(adata, method="idw", pitch={"other": 3.0})


def test_no_platform_tells_the_size_of_a_pixel_off_a_lattice(adata):
    image = np.full((1500, 1500, 3), 200, dtype=np.uint8)
    with pytest.raises(ValueError, match="lie on no lattice, so that no platform tells it"):
        phg2st.pp.extract_embeddings(adata, image=image, encoder="texture", platform="Visium", progress=False)


def test_near_doubles_do_not_make_the_grid_of_prompts_endless():
    adata = beads(n=150, doubles=1.0)
    adata.obsm["spatial"][150:] = adata.obsm["spatial"][:150] + 1e-3
    phg2st.pp.sample_prompts(adata, n=20, strategy="grid")
    assert adata.obs["prompt"].sum() == 20
