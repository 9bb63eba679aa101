"""Embeddings land on their spots, say where they come from, and never see expression."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData, read_h5ad

from phg2st_sc import _keys, datasets, pp
from phg2st_sc._provenance._versions import names_hash
from phg2st_sc._reading import Reading, context_of, identity, same_kind

PITCH_PX = 40.0


def color(tiles):
    return tiles.mean(axis=(1, 2))


def _extract(adata, image, **options):
    options = {"encoder": color, "input_px": 16, "pitch_um": 200, "progress": False, **options}
    pp.extract_embeddings(adata, image=image, **options)
    return adata


@pytest.fixture
def painted(lattice_positions):
    """Image whose tile at spot i has the colour (i, 255 - i, i), on white."""
    pixels = np.full((480, 560, 3), 255, dtype=np.uint8)
    for i, (x, y) in enumerate(lattice_positions.astype(int)):
        pixels[y - 12 : y + 12, x - 12 : x + 12] = (i, 255 - i, i)
    return pixels


def test_every_spot_gets_its_own_tile(spot_adata, painted):
    # 90 µm at 200 µm / 40 px are 18 px: with the support of the resampling filter still inside the painted 24 px.
    _extract(spot_adata, painted, tile_um=90)
    i = np.arange(spot_adata.n_obs)
    features = spot_adata.obsm["X_color"]
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, np.column_stack([i, 255 - i, i]), atol=0.6)


def test_permuting_spots_permutes_embeddings(spot_adata, he_image, rng):
    order = rng.permutation(spot_adata.n_obs)
    other = spot_adata[order].copy()
    _extract(spot_adata, he_image, context=3)
    _extract(other, he_image, context=3)
    np.testing.assert_array_equal(other.obsm["X_color"], spot_adata.obsm["X_color"][order])
    key = _keys.context_index("X_color")
    np.testing.assert_array_equal(other.obsm[key], spot_adata.obsm[key][order])


def test_batch_size_changes_no_bit(spot_adata, he_image):
    small = spot_adata[:20].copy()
    first = _extract(small.copy(), he_image, encoder="texture", input_px=None, batch_size=7)
    second = _extract(small.copy(), he_image, encoder="texture", input_px=None, batch_size=64)
    np.testing.assert_array_equal(first.obsm["X_texture"], second.obsm["X_texture"])


def test_record_says_where_features_come_from(spot_adata, he_image):
    _extract(spot_adata, he_image, context=3)
    record = spot_adata.uns[_keys.EMBEDDINGS]["X_color"]
    assert record["source"] == "image"
    assert record["encoder"] == "color"
    assert record["tile_um"] == 112
    assert record["context"] == 3
    assert record["input_px"] == 16
    np.testing.assert_allclose(record["mpp"], [5.0])
    assert list(record["mpp_source"]) == ["pitch_um"]
    assert record["obs_names_hash"] == names_hash(spot_adata.obs_names)
    assert "phg2st-sc" in record["versions"]


def test_context_points_at_the_tiles_around(spot_adata, he_image):
    _extract(spot_adata, he_image, context=5, tile_um=100)
    index = spot_adata.obsm["X_color_context_index"]
    tiles = spot_adata.uns[_keys.TILES]["X_color"]
    assert index.shape == (120, 25)
    assert index.dtype == np.int32
    assert tiles["features"].dtype == np.float16
    # 100 µm = half the pitch: the grid is commensurate, so every middle tile is the spot's own.
    np.testing.assert_allclose(tiles["features"][index[:, 12]], spot_adata.obsm["X_color"], rtol=1e-3)
    np.testing.assert_allclose(tiles["positions"][index[:, 12]], spot_adata.obsm["spatial"])
    np.testing.assert_allclose(tiles["positions"][index[:, 13]] - spot_adata.obsm["spatial"], [[20.0, 0.0]] * 120)


def test_exact_context_is_a_block_per_spot(spot_adata, he_image):
    spot_adata.obsm["spatial"] = spot_adata.obsm["spatial"] - 55.0
    _extract(spot_adata, he_image, context=3, context_mode="exact")
    blocks = spot_adata.obsm["X_color_context"]
    assert blocks.shape == (120, 9, 3)
    np.testing.assert_allclose(blocks[:, 4], spot_adata.obsm["X_color"], rtol=1e-3)
    assert np.isnan(blocks[0, [0, 1, 2, 3, 6]]).all()
    assert np.isfinite(blocks[0, [4, 5, 7, 8]]).all()
    assert "X_color_context_index" not in spot_adata.obsm


def test_context_of_an_earlier_call_goes(spot_adata, he_image):
    _extract(spot_adata, he_image, context=3)
    _extract(spot_adata, he_image, context=3, key_added="X_other")
    _extract(spot_adata, he_image, context=None)
    assert "X_color_context_index" not in spot_adata.obsm
    assert list(spot_adata.uns[_keys.TILES]) == ["X_other"]
    assert sorted(spot_adata.uns[_keys.EMBEDDINGS]) == ["X_color", "X_other"]


def test_tiles_around_the_spots_are_encoded_only_where_they_are_asked_for(spot_adata, he_image):
    seen = []

    def counted(tiles):
        seen.append(len(tiles))
        return color(tiles)

    _extract(spot_adata, he_image, encoder=counted)
    assert sum(seen) == spot_adata.n_obs
    assert "X_counted_context_index" not in spot_adata.obsm
    _extract(spot_adata, he_image, context="auto")
    assert spot_adata.obsm["X_color_context_index"].shape == (120, 25)
    _extract(spot_adata, he_image, context="auto", encoder="texture", input_px=None)
    assert spot_adata.uns[_keys.EMBEDDINGS]["X_texture"]["context"] == 0


@pytest.mark.parametrize("mode", ["grid", "lattice"])
def test_a_function_is_shown_the_fields_that_are_asked_for(spot_adata, he_image, mode):
    alone = {um: _extract(spot_adata.copy(), he_image, tile_um=um) for um in (90, 270)}
    if mode == "grid":
        both = _extract(spot_adata.copy(), he_image, fields_um=(90, 270))
        expected = np.hstack([one.obsm["X_color"] for one in alone.values()])
        np.testing.assert_array_equal(both.obsm["X_color"], expected)
    around = _extract(spot_adata.copy(), he_image, fields_um=(90, 270), context=3, context_mode=mode)
    assert around.obsm["X_color"].shape == (120, 6)
    assert around.uns[_keys.TILES]["X_color"]["features"].shape[1] == 6
    record = around.uns[_keys.EMBEDDINGS]["X_color"]
    assert (record["tile_um"], list(record["fields"]), record["dim"]) == (90, [1, 3], 6)


def test_features_over_other_fields_are_of_another_kind(spot_adata, he_image):
    kinds = [
        identity(_extract(spot_adata.copy(), he_image, fields_um=fields).uns[_keys.EMBEDDINGS]["X_color"])
        for fields in ((112,), (112, 224), (112, 336), (112, 224))
    ]
    assert [same_kind(kinds[1], one) for one in kinds] == [False, True, False, True]
    default = _extract(spot_adata.copy(), he_image).uns[_keys.EMBEDDINGS]["X_color"]
    assert same_kind(kinds[0], identity(default))


def test_a_way_to_lay_tiles_that_are_not_asked_for_is_told(spot_adata, he_image):
    with pytest.warns(UserWarning, match=r"says how they lie, and `context=None` asks for none.*`context=5`"):
        _extract(spot_adata, he_image, context_mode="exact")


def test_expression_is_never_read_nor_changed(spot_adata, he_image):
    other = spot_adata.copy()
    other.X = other.X.copy() * np.nan
    _extract(spot_adata, he_image)
    _extract(other, he_image)
    np.testing.assert_array_equal(other.obsm["X_color"], spot_adata.obsm["X_color"])
    assert np.isnan(other.X.data).all()


def test_several_slides_in_one_table(spot_adata, he_image, painted):
    spot_adata.obs["section"] = np.where(np.arange(120) % 2 == 0, "a", "b")
    images = {"a": he_image, "b": painted}
    _extract(spot_adata, images, slide_key="section", context=3)
    index, tiles = spot_adata.obsm["X_color_context_index"], spot_adata.uns[_keys.TILES]["X_color"]
    for code, (name, image) in enumerate(images.items()):
        rows = np.flatnonzero(spot_adata.obs["section"] == name)
        alone = _extract(spot_adata[rows].copy(), image, slide_key="section", context=3)
        np.testing.assert_array_equal(spot_adata.obsm["X_color"][rows], alone.obsm["X_color"])
        used = index[rows][index[rows] >= 0]
        assert (tiles["slide"][used] == code).all()
        own = alone.obsm["X_color_context_index"]
        np.testing.assert_array_equal(
            tiles["features"][index[rows]], alone.uns[_keys.TILES]["X_color"]["features"][own]
        )


def test_survives_h5ad(spot_adata, he_image, tmp_path):
    _extract(spot_adata, he_image, context=3).write_h5ad(tmp_path / "a.h5ad")
    back = read_h5ad(tmp_path / "a.h5ad")
    for key in ("X_color", "X_color_context_index"):
        np.testing.assert_array_equal(back.obsm[key], spot_adata.obsm[key])
    np.testing.assert_array_equal(
        back.uns[_keys.TILES]["X_color"]["features"], spot_adata.uns[_keys.TILES]["X_color"]["features"]
    )
    assert back.uns[_keys.EMBEDDINGS]["X_color"]["encoder"] == "color"


def _state(adata: AnnData):
    return sorted(adata.obsm), sorted(adata.uns), sorted(adata.obs)


BAD = {
    "no mpp": ({"pitch_um": None}, ValueError, "mpp"),
    "unknown encoder": ({"encoder": "nope", "input_px": None}, ValueError, "no encoder 'nope'"),
    "even context": ({"context": 4}, ValueError, "odd number of tiles"),
    "fields of a name": ({"encoder": "texture", "fields_um": (112, 560)}, ValueError, "others know theirs"),
    "fields and a tile": ({"fields_um": (112, 560), "tile_um": 90}, ValueError, "leave `tile_um=90` out"),
    "the same field twice": ({"fields_um": (112, 112)}, ValueError, "each another one"),
    "a field of nothing": ({"fields_um": (112, 0)}, ValueError, "`fields_um` must be a number of µm above 0"),
    "negative tile": ({"tile_um": -1}, ValueError, "tile_um"),
    "batch of none": ({"batch_size": 0}, ValueError, "batch_size"),
    "bad key": ({"key_added": "a/b"}, ValueError, "cannot name"),
    "wrong shape": ({"encoder": lambda t: t.mean(), "key_added": "X_m"}, ValueError, r"returned shape \(\) for 64"),
    "NaN": ({"encoder": lambda t: color(t) * np.nan, "key_added": "X_m"}, ValueError, "returned NaN"),
}


@pytest.mark.parametrize(("options", "kind", "message"), BAD.values(), ids=BAD)
def test_bad_arguments_change_nothing(options, kind, message, spot_adata, he_image):
    before = _state(spot_adata)
    with pytest.raises(kind, match=message):
        _extract(spot_adata, he_image, **options)
    assert _state(spot_adata) == before


def test_bad_objects_change_nothing(spot_adata, he_image):
    before = _state(spot_adata)
    with pytest.raises(ValueError, match="outside the image"):
        _extract(spot_adata, he_image[::8, ::8])
    with pytest.raises(KeyError, match="image"):
        _extract(spot_adata, None)
    with pytest.raises(FileNotFoundError, match="not found"):
        _extract(spot_adata, "nowhere.tif")
    with pytest.raises(ValueError, match="view"):
        _extract(spot_adata[:50], he_image)
    assert _state(spot_adata) == before


def test_interruption_leaves_nothing_behind(spot_adata, he_image):
    seen = []

    def stops(tiles):
        seen.append(len(tiles))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return color(tiles)

    before = _state(spot_adata)
    with pytest.raises(KeyboardInterrupt):
        _extract(spot_adata, he_image, encoder=stops, context=5)
    assert _state(spot_adata) == before
    assert seen == [64, 64]


@pytest.fixture(scope="module")
def simulated():
    options = {"n_spots": 60, "n_genes": 10, "seed": 1, "progress": False}
    return [datasets.simulate(container=container, **options) for container in ("anndata", "spatialdata")]


def test_spatialdata_gets_the_same_embeddings_as_anndata_and_keeps_them(simulated, tmp_path):
    from spatialdata import read_zarr

    adata, sdata = simulated
    options = {"encoder": color, "input_px": 32, "context": 3, "progress": False}
    sdata.write(tmp_path / "a.zarr")
    sdata = read_zarr(tmp_path / "a.zarr")
    pp.extract_embeddings(adata, image="hires", **options)
    pp.extract_embeddings(sdata, write=True, **options)
    (table,) = sdata.tables.values()
    # The element is a pyramid: a coarser level, made by its own kind of averaging, may be read.
    np.testing.assert_allclose(table.obsm["X_color"], adata.obsm["X_color"], atol=2.0)
    (back,) = read_zarr(tmp_path / "a.zarr").tables.values()
    for key in ("X_color", "X_color_context_index"):
        np.testing.assert_array_equal(back.obsm[key], table.obsm[key])
    assert back.uns[_keys.EMBEDDINGS]["X_color"]["source"] == "image"
    assert len(back.uns[_keys.TILES]["X_color"]["features"]) == table.obsm["X_color_context_index"].max() + 1


def test_texture_separates_simulated_compartments(simulated):
    adata = simulated[0].copy()
    pp.extract_embeddings(adata, image="hires", encoder="texture", progress=False)
    features = adata.obsm["X_texture"]
    assert features.shape == (adata.n_obs, 2 * 141)
    assert np.isfinite(features).all()
    assert (features[:, :141].std(axis=0) > 1e-6).mean() > 0.9


@pytest.mark.parametrize("wrong", [{"tile_um": 0}, {"tile_um": "112"}, {"tile_um": float("nan")}, {"mpp": "0.5"}])
def test_lengths_that_are_none_are_named(spot_adata, he_image, wrong):
    with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be a number of µm above 0, got"):
        _extract(spot_adata, he_image, **wrong)


def test_tiles_of_a_pixel_or_larger_than_the_image_are_refused(spot_adata, he_image):
    for mpp in (100.0, 0.1):
        with pytest.raises(ValueError, match=rf"a tile of 112 µm spans .* at {mpp:g} µm per pixel.*Pass `mpp=`"):
            _extract(spot_adata, he_image, mpp=mpp, pitch_um=mpp * PITCH_PX)
    assert "X_color" not in spot_adata.obsm


def test_tiles_of_few_pixels_are_warned_of(spot_adata, he_image):
    with pytest.warns(UserWarning, match="spans 7 pixels at 16 µm per pixel, too few"):
        _extract(spot_adata, he_image, pitch_um=None, mpp=16.0, context=None)


def test_spots_just_past_the_edge_see_the_image_and_white(spot_adata, he_image):
    cut = he_image[65:]
    spot_adata.obsm["spatial"][:, 1] -= 65.0
    spot_adata = spot_adata[[*range(2), *range(12, 120)]].copy()
    with pytest.warns(UserWarning, match=r"2 of 110 spots lie just outside.*'spot0', 'spot1'"):
        _extract(spot_adata, cut, context=3)
    assert np.isfinite(spot_adata.obsm["X_color"]).all()
    padded = np.concatenate([np.full((65, 560, 3), 255, np.uint8), cut])
    other = spot_adata.copy()
    other.obsm["spatial"][:, 1] += 65.0
    _extract(other, padded, context=None)
    np.testing.assert_array_equal(spot_adata.obsm["X_color"], other.obsm["X_color"])


# --- one lattice of tiles for all spots -------------------------------------------------------------------------------
def _bins(n=20, step=4.0):
    """A slide of bins of 8 µm on a smooth picture of 2 µm per pixel."""
    y, x = np.mgrid[:400, :420]
    pixels = np.stack([127 + 90 * np.sin(x / 60), 127 + 90 * np.cos(y / 50), (x + y) / 4], axis=-1).astype(np.uint8)
    row, col = np.divmod(np.arange(n * n), n)
    adata = AnnData(np.ones((n * n, 2), dtype=np.float32), uns={"spatial": {"hd": {"images": {}, "scalefactors": {}}}})
    adata.obsm["spatial"] = np.column_stack([col, row]) * step + 150.0
    return adata, pixels


def test_a_lattice_encodes_no_tile_twice_and_weights_what_bins_show():
    bins, pixels = _bins()
    seen = []

    def counted(tiles):
        seen.append(len(tiles))
        return color(tiles)

    options = {"encoder": counted, "mpp": 2.0, "pitch_um": None, "context": 3, "tile_um": 40}
    _extract(bins, pixels, context_mode="lattice", **options)
    assert sum(seen) == 7 * 7  # 20 bins of 4 px span 4 steps of 20 px, and there is a ring around
    tiles, index = bins.uns[_keys.TILES]["X_counted"], bins.obsm["X_counted_context_index"]
    assert np.abs(tiles["positions"][index[:, 4]] - bins.obsm["spatial"]).max() <= 10.0
    np.testing.assert_array_equal(bins.obsm["X_counted"][0].astype(np.float16), tiles["features"][index[0, 4]])
    own = bins.obsm["X_counted"]
    _extract(bins, pixels, **options)
    assert sum(seen) > 49 + bins.n_obs
    np.testing.assert_allclose(own, bins.obsm["X_counted"], atol=3.0)
    assert np.abs(own - bins.obsm["X_counted"]).mean() < 0.5 * bins.obsm["X_counted"].std(axis=0).min()


def test_the_record_of_a_lattice_says_so_and_models_find_its_tiles(spot_adata, he_image):
    _extract(spot_adata, he_image, context=3, context_mode="exact")
    _extract(spot_adata, he_image, context=3, context_mode="lattice")
    record = spot_adata.uns[_keys.EMBEDDINGS]["X_color"]
    assert (record["context_form"], record["context_mode"], record["skip_glass"]) == ("lattice", "lattice", True)
    assert "X_color_context" not in spot_adata.obsm
    index, tiles = context_of(Reading().slides(spot_adata)[0], "X_color")
    assert index.shape == (120, 9)
    assert np.isfinite(tiles).all()


def test_spots_at_the_edge_of_the_image_take_padded_tiles(spot_adata, he_image):
    spot_adata.obsm["spatial"] = spot_adata.obsm["spatial"] - spot_adata.obsm["spatial"].min(axis=0) + 0.5
    spot_adata.obsm["spatial"][0, 0] += 7.0
    _extract(spot_adata, he_image, context=3, context_mode="lattice")
    assert np.isfinite(spot_adata.obsm["X_color"]).all()
    index = spot_adata.obsm["X_color_context_index"].reshape(-1, 3, 3)
    assert (index[0, 0] == -1).all()
    assert (index[:, 1, 1] >= 0).mean() > 0.9


def test_glass_is_not_encoded_and_counts_as_white(spot_adata, rng):
    pixels = np.clip(rng.normal(232, 2, (480, 560, 3)), 0, 255).astype(np.uint8)
    pixels[:240] = rng.integers(60, 220, (240, 560, 3))
    seen = []

    def counted(tiles):
        seen.append(len(tiles))
        return color(tiles)

    _extract(spot_adata, pixels, encoder=counted, context=None, skip_glass=True)
    below = spot_adata.obsm["spatial"][:, 1] > 240 + 12
    np.testing.assert_array_equal(spot_adata.obsm["X_counted"][below], 255.0)
    assert (spot_adata.obsm["X_counted"][~below] < 250).all()
    assert sum(seen) == (~below).sum() + 1


def test_the_old_word_for_exact_context_works_with_a_warning(spot_adata, he_image):
    with pytest.warns(FutureWarning, match='context_mode="exact"'):
        _extract(spot_adata, he_image, context=3, exact_context=True)
    assert spot_adata.obsm["X_color_context"].shape == (120, 9, 3)
    with pytest.raises(
        ValueError, match="`context_mode` must be one of 'grid', 'exact', 'lattice', 'tokens', got 'own'"
    ):
        _extract(spot_adata, he_image, context_mode="own")
