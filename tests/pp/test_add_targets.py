"""`pp.add_targets`: gaps are filled, measured spots stay, targets are never read."""

import numpy as np
import pandas as pd
import pytest
import shapely
from anndata import AnnData, read_h5ad
from lattices import hexagonal, turned
from scipy import sparse
from scipy.spatial import cKDTree

import phg2st_sc as phg2st
from phg2st_sc._slide import open_slides

TARGET = "phg2st_target"


def target_places(data):
    return data.obsm["spatial"][data.obs[TARGET].to_numpy()]


def test_gaps_are_filled_exactly_where_spots_were_dropped(spot_adata):
    x, y = ((spot_adata.obsm["spatial"] - 60) / 40).astype(int).T
    dropped = (x + y) % 2 == 1
    dropped &= (x > 0) & (x < 11) & (y > 0) & (y < 9)
    left = spot_adata[~dropped].copy()
    filled = phg2st.pp.add_targets(left, region="capture")
    found = np.round(target_places(filled), 6)
    assert set(map(tuple, found)) == set(map(tuple, spot_adata.obsm["spatial"][dropped]))


@pytest.mark.parametrize("degrees", [0, 7, 33])
def test_a_turned_jittered_hexagonal_lattice_gets_its_missing_places(degrees, rng):
    whole = turned(hexagonal(), degrees)
    dropped = cKDTree(whole).query(whole.mean(axis=0), k=7)[1]
    adata = AnnData(np.ones((113, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.delete(whole, dropped, axis=0) + rng.normal(0, 1.0, (113, 2))
    found = target_places(phg2st.pp.add_targets(adata, region="capture"))
    assert len(found) == 7
    assert cKDTree(whole[dropped]).query(found)[0].max() < 2.0


def test_a_finer_lattice_halves_the_pitch_and_keeps_the_phase(spot_adata):
    finer = phg2st.pp.add_targets(spot_adata, pitch_um=99, mpp=5.0, region="capture")  # 1 % off the half of 200
    places = finer.obsm["spatial"]
    np.testing.assert_allclose(places / 20.0, np.round(places / 20.0), atol=1e-6)
    inner = places[(places > 59).all(axis=1) & (places < (501, 421)).all(axis=1)]
    assert len(np.unique(np.round(inner / 20.0), axis=0)) == len(inner) == 23 * 19


def test_tissue_beyond_the_capture_area(spot_adata):
    image = np.full((480, 560, 3), 255, dtype=np.uint8)
    image[40:440, 40:520] = (190, 110, 160)
    block = spot_adata[spot_adata.obsm["spatial"][:, 0] < 250].copy()
    grown = phg2st.pp.add_targets(block, image=image)
    beyond = target_places(grown)
    assert set(map(tuple, np.round(beyond))) == set(
        map(tuple, spot_adata.obsm["spatial"][spot_adata.obsm["spatial"][:, 0] > 250])
    )


def test_polygon_in_full_resolution_pixels_also_beside_a_thumbnail(visium_adata):
    corners = np.array([[50, 50], [190, 50], [190, 190], [50, 190]])
    one = phg2st.pp.add_targets(visium_adata, region=corners, pitch_um=50, platform="Visium")
    other = phg2st.pp.add_targets(visium_adata, region=shapely.Polygon(corners), pitch_um=50, mpp=2.5, image="hires")
    assert len(target_places(one)) == 49 - 16
    np.testing.assert_allclose(np.sort(target_places(one), 0), np.sort(target_places(other), 0), atol=1e-6)


def test_rows_of_the_input_stay_and_targets_are_empty(visium_adata):
    a = visium_adata
    a.obs["prompt"] = np.arange(120) % 3 == 0
    a.obs["array_row"] = np.arange(120)
    a.obs["patient"] = 3
    a.obs["kind"] = pd.Categorical(["a", "b"] * 60)
    a.layers["counts"] = a.X.copy()
    a.layers["whole"] = a.X.toarray()
    phg2st.pp.normalize(a)
    a.layers["derived"] = np.log1p(a.X.toarray())
    phg2st.pp.extract_embeddings(a, image="hires", encoder="texture", mpp=2.5, progress=False)
    phg2st.pp.build_hypergraph(a)
    a.obsm["X_pca"] = np.ones((120, 2), dtype=np.float32)
    before = a.copy()
    b = phg2st.pp.add_targets(a, pitch_um=50, mpp=2.5, region="capture")
    assert a.obs.equals(before.obs)
    assert list(a.obsm) == list(before.obsm)
    assert list(a.uns) == list(before.uns)
    new = b.obs[TARGET].to_numpy()
    assert new.dtype == bool
    assert not new[:120].any()
    assert new[120:].all()
    assert b.obs_names.is_unique
    assert list(b.obs_names[:120]) == list(a.obs_names)
    for old, now in ((a.X, b.X), (a.layers["counts"], b.layers["counts"])):
        assert sparse.issparse(now)
        assert (now[:120] != old).nnz == 0
        assert now[120:].nnz == 0
    assert (b.layers["whole"][120:] == 0).all()
    assert np.isnan(b.layers["derived"][120:]).all()
    np.testing.assert_array_equal(b.layers["derived"][:120], a.layers["derived"])
    assert b.obs["prompt"].dtype == bool
    assert b.obs["prompt"].sum() == 40
    assert (b.obs["patient"] == 3).all()
    assert b.obs["array_row"].iloc[:120].tolist() == list(range(120))
    assert b.obs["array_row"].iloc[120:].isna().all()
    assert b.obs["kind"].iloc[:120].tolist() == a.obs["kind"].tolist()
    assert set(b.obsm) == {"spatial", "X_pca"}
    assert not b.obsp
    assert not {"phg2st_embeddings", "phg2st_tiles", "hypergraph"} & set(b.uns)


def test_h5ad_round_trip_and_a_second_call(spot_adata, tmp_path):
    b = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    b.write_h5ad(tmp_path / "b.h5ad")
    back = read_h5ad(tmp_path / "b.h5ad")
    assert back.obs[TARGET].equals(b.obs[TARGET])
    assert back.uns[TARGET]["n_targets"].tolist() == [b.n_obs - 120]
    with pytest.warns(UserWarning, match="gets no target"):
        again = phg2st.pp.add_targets(back, pitch_um=100, mpp=5.0, region="capture")
    assert again.n_obs == b.n_obs
    finest = phg2st.pp.add_targets(back, pitch_um=50, mpp=5.0, region="capture")
    assert finest.obs_names.is_unique
    assert finest.n_obs > 3 * back.n_obs


def test_pitch_and_mpp_are_those_of_the_spots(spot_adata):
    b = phg2st.pp.add_targets(spot_adata, pitch_um=50, platform="ST", region="capture")
    (slide,) = open_slides(b, platform="ST")
    assert slide.pitch_px == 40.0
    assert slide.mpp == 5.0


@pytest.mark.parametrize("method", ["kriging", "idw"])
def test_image_free_predictions_at_the_spots_are_the_same(spot_adata, method):
    phg2st.pp.sample_prompts(spot_adata, fraction=0.3)
    b = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    phg2st.tl.impute(spot_adata, method=method, key_added="k")
    phg2st.tl.impute(b, method=method, key_added="k")
    np.testing.assert_allclose(b.layers["k"][:120], spot_adata.layers["k"], atol=1e-5)
    assert np.isfinite(b.layers["k"]).all()
    left = b.obsm["spatial"][:, 0] < 150
    right = b.obsm["spatial"][:, 0] > 410
    new = b.obs[TARGET].to_numpy()
    assert b.layers["k"][new & right, :10].mean() > b.layers["k"][new & left, :10].mean() + 0.2


def test_targets_are_never_measured(spot_adata):
    b = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    with pytest.raises(KeyError, match=r"~data.obs\['phg2st_target'\]"):
        phg2st.tl.impute(b, method="kriging")
    with pytest.raises(ValueError, match="target0"):
        phg2st.tl.impute(b, method="kriging", prompt_mask=np.ones(b.n_obs, dtype=bool))
    phg2st.pp.sample_prompts(b, fraction=0.5)
    assert b.obs["prompt"].sum() == 60
    assert not (b.obs["prompt"] & b.obs[TARGET]).any()
    phg2st.pp.sample_prompts(b, fraction=0.5, within=np.ones(b.n_obs, dtype=bool), key_added="other")
    assert b.obs["other"].sum() == 60


def test_normalize_is_not_changed_by_targets(spot_adata, recwarn):
    b = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    phg2st.pp.normalize(spot_adata)
    phg2st.pp.normalize(b)
    assert not [w for w in recwarn if "no counts" in str(w.message)]
    assert (b.layers["phg2st_lognorm"][:120] != spot_adata.layers["phg2st_lognorm"]).nnz == 0
    dense = spot_adata.copy()
    del dense.layers["phg2st_lognorm"], dense.uns["phg2st_lognorm"]
    dense.X = dense.X.toarray()
    c = phg2st.pp.add_targets(dense, pitch_um=100, mpp=5.0, region="capture")
    phg2st.pp.normalize(c)
    np.testing.assert_allclose(
        c.layers["phg2st_lognorm"][:120], spot_adata.layers["phg2st_lognorm"].toarray(), rtol=1e-6
    )
    assert np.isnan(c.layers["phg2st_lognorm"][120:]).all()


def test_evaluate_scores_as_without_targets(spot_adata):
    phg2st.pp.sample_prompts(spot_adata, fraction=0.3)
    b = phg2st.pp.add_targets(spot_adata, pitch_um=100, mpp=5.0, region="capture")
    b.X = b.X.toarray()
    b.X[120:] = 7.0  # whatever stands there is not read
    scores = []
    for one in (spot_adata, b):
        phg2st.tl.impute(one, method="kriging")
        scores.append(phg2st.tl.evaluate(one, layer="kriging", compare="idw", n_splits=0))
    pd.testing.assert_frame_equal(scores[0], scores[1], rtol=1e-4, atol=1e-6)
    assert scores[1].attrs["sections"]["slide"]["n_spots_unmeasured"] == 0


def test_train_leaves_targets_out():
    slides = phg2st.datasets.simulate(n_slides=3, n_patients=3, n_spots=80, n_genes=40, image=False, progress=False)
    new = slides.pop("P3_S1")
    phg2st.pp.sample_prompts(new, fraction=0.2)
    with_targets = {
        name: phg2st.pp.add_targets(one, pitch_um=50, platform="Visium", region="capture")
        for name, one in slides.items()
    }
    predicted = []
    for cohort in (slides, with_targets):
        model = phg2st.tl.train(cohort, method="gene_kriging", progress=False)
        predicted.append(phg2st.tl.predict(new, model=model).X)
    np.testing.assert_allclose(predicted[0], predicted[1], atol=1e-6)


def test_the_chain_on_image_features(visium_adata):
    phg2st.pp.sample_prompts(visium_adata, fraction=0.4)
    b = phg2st.pp.add_targets(visium_adata, image="hires", mpp=2.5, pitch_um=50)
    phg2st.pp.extract_embeddings(b, encoder="texture", image="hires", mpp=2.5, progress=False)
    phg2st.tl.impute(b, prompt_mask="prompt", method="image_ridge", key_added="ridge")
    assert np.isfinite(b.layers["ridge"]).all()
    assert (np.diff(np.unique(np.round(b.obsm["spatial"][:, 0]))) == 20).all()


def test_two_slides_each_for_itself(spot_adata):
    import anndata

    other = spot_adata.copy()
    other.obsm["spatial"] = other.obsm["spatial"] * 2.0 + 1000.0
    both = anndata.concat({"a": spot_adata, "b": other}, label="section", index_unique="-")
    c = phg2st.pp.add_targets(both, pitch_um=100, platform="ST", region="capture", slide_key="section")
    for name, pitch in (("a", 20.0), ("b", 40.0)):
        mine = c[c.obs["section"] == name]
        assert cKDTree(mine.obsm["spatial"]).query(mine.obsm["spatial"], k=2)[0][:, 1] == pytest.approx(pitch)
    assert c.obs["section"].notna().all()


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({}, KeyError, "region='capture'"),
        ({"region": "capture", "pitch_um": 50}, ValueError, "never guessed"),
        ({"region": "tissues"}, ValueError, "'capture' or a polygon"),
        ({"region": 5}, TypeError, "shapely polygon"),
        ({"region": [[0, 0], [9, 9], [9, 0], [0, 9]]}, ValueError, "not valid|area of 0"),
        ({"region": "capture", "pitch_um": -1}, ValueError, "above 0"),
        ({"region": "capture", "min_distance": 0}, ValueError, "min_distance"),
        ({"region": "capture", "lattice": "round"}, ValueError, "'hex'"),
        ({"region": "capture", "pitch_um": 0.1, "mpp": 5.0}, ValueError, "two million|2000000"),
    ],
)
def test_errors_name_what_mends_them(spot_adata, settings, error, match):
    with pytest.raises(error, match=match):
        phg2st.pp.add_targets(spot_adata, **settings)


def test_a_missing_image_is_named(visium_adata):
    with pytest.raises(FileNotFoundError, match=r"'section'\. Image file not found.*no\.jpg.*region='capture'"):
        phg2st.pp.add_targets(visium_adata, image="no.jpg")


def test_a_view_will_do_as_nothing_is_written_to_it(spot_adata):
    left = spot_adata[np.arange(120) != 54]
    filled = phg2st.pp.add_targets(left, region="capture")
    assert left.is_view
    np.testing.assert_allclose(target_places(filled), spot_adata.obsm["spatial"][[54]], atol=1e-6)


def test_spots_on_one_line_are_refused():
    adata = AnnData(np.ones((5, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.column_stack([np.arange(5.0), np.arange(5.0)])
    with pytest.raises(ValueError, match="one line"):
        phg2st.pp.add_targets(adata, region="capture")


def test_half_of_a_real_section_is_found_again_and_predicted_as_well(real_data):
    whole = phg2st.datasets.her2st(real_data / "her2st", sections=["C2"])["C2"]
    dropped = np.random.default_rng(0).random(whole.n_obs) < 0.5
    filled = phg2st.pp.add_targets(whole[~dropped].copy())
    new = filled.obs[TARGET].to_numpy()
    (slide,) = open_slides(whole)
    distance, nearest = cKDTree(filled.obsm["spatial"][new]).query(whole.obsm["spatial"][dropped])
    assert distance.max() < 0.25 * slide.pitch_px
    assert len(np.unique(nearest)) == dropped.sum()
    assert new.sum() < dropped.sum() + 10
    phg2st.tl.impute(filled, method="kriging", prompt_mask=~new)
    phg2st.tl.impute(whole, method="kriging", prompt_mask=~dropped)
    counts = whole.X.toarray()[dropped]
    genes = np.argsort(-counts.sum(axis=0))[:200]
    truth = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))[:, genes]
    at_targets = filled.layers["kriging"][new][nearest][:, genes]
    held_out = whole.layers["kriging"][dropped][:, genes]
    pcc = [
        np.mean([np.corrcoef(t, p)[0, 1] for t, p in zip(truth.T, one.T, strict=True)])
        for one in (at_targets, held_out)
    ]
    assert pcc[1] > 0.15
    assert pcc[0] == pytest.approx(pcc[1], abs=0.02)
