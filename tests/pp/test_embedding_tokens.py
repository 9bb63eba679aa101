"""`context_mode="tokens"`: patches pooled at spots, with the record that tells them from features of tiles."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from phg2st_sc import _keys, pp, tl
from phg2st_sc.encoders import EncoderCard

RECORD = _keys.EMBEDDINGS


class Colors:
    """Mean color of each of 7 x 7 patches of a tile of 56 px."""

    card = EncoderCard("colors", 3, 56, 112.0, transform="none", patch_px=8, token_dim=3)
    passes = 0

    def __call__(self, tiles):
        self.passes += len(tiles)
        return tiles.mean(axis=(1, 2)).astype(np.float32)

    def tokens(self, tiles):
        self.passes += len(tiles)
        return tiles.reshape(-1, 7, 8, 7, 8, 3).mean(axis=(2, 4)).astype(np.float32)


def _extract(adata, image, encoder=None, **options):
    options = {"mpp": 2.0, "tile_um": 112, "progress": False, **options}
    pp.extract_embeddings(adata, image=image, encoder=encoder or Colors(), context_mode="tokens", **options)
    return adata


def _around(image, places, width):
    found = []
    for x, y in places:
        left, top = int(x - width / 2), int(y - width / 2)
        found.append(image[top : top + width, left : left + width].reshape(-1, 3).mean(axis=0))
    return np.array(found)


def test_every_spot_gets_what_lies_around_it(spot_adata, he_image):
    """Spots are 40 px = 80 µm apart, and at most 96 µm can be pooled from a tile."""
    _extract(spot_adata, he_image)
    found = spot_adata.obsm["X_colors_tokens"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, _around(he_image, spot_adata.obsm["spatial"], 40), atol=0.6)
    _extract(spot_adata, he_image, pool_um=48)
    narrow = spot_adata.obsm["X_colors_tokens"]
    np.testing.assert_allclose(narrow, _around(he_image, spot_adata.obsm["spatial"], 24), atol=0.6)
    assert np.abs(found - narrow).max() > 0.1


def test_the_record_tells_them_from_features_of_tiles(spot_adata, he_image):
    _extract(spot_adata, he_image, pool_um=48)
    pp.extract_embeddings(spot_adata, image=he_image, encoder=Colors(), mpp=2.0, context=None, progress=False)
    pooled, whole = (spot_adata.uns[RECORD][key] for key in ("X_colors_tokens", "X_colors"))
    assert pooled["source"] == whole["source"] == "image"
    assert pooled["transform"] == "none; patches pooled at the spots"
    np.testing.assert_array_equal(pooled["pool_um"], [48.0])
    assert whole["transform"] == "none"
    assert (pooled["context"], pooled["context_form"]) == (0, "none")
    assert _keys.context_index("X_colors_tokens") not in spot_adata.obsm


def test_bins_share_their_passes(he_image):
    bins = AnnData(obs=pd.DataFrame(index=[f"bin{i}" for i in range(4000)]))
    x, y = np.meshgrid(np.arange(80), np.arange(50))
    bins.obsm["spatial"] = np.column_stack([x.ravel(), y.ravel()]) * 4.0 + 80.0  # 8 µm
    encoder = Colors()
    _extract(bins, he_image, encoder)
    assert encoder.passes == -(-81 // 6) * -(
        -51 // 6
    )  # three patches of 16 µm, so six bins, along a side of the middle
    np.testing.assert_allclose(bins.uns[RECORD]["X_colors_tokens"]["pool_um"], [8.0])
    some = bins[::7].copy()
    _extract(some, he_image, pool_um=8)
    np.testing.assert_allclose(some.obsm["X_colors_tokens"], bins.obsm["X_colors_tokens"][::7], atol=1e-3)


def test_glass_is_passed_over(spot_adata, he_image):
    image = he_image.copy()
    image[:, 280:] = 255
    encoder = Colors()
    _extract(spot_adata, image, encoder)
    every = Colors()
    _extract(spot_adata, image, every, skip_glass=False, key_added="X_every")
    assert encoder.passes < every.passes
    on_glass = spot_adata.obsm["spatial"][:, 0] > 340
    np.testing.assert_allclose(spot_adata.obsm["X_colors_tokens"][on_glass], 255, atol=1e-3)


def test_methods_take_them(spot_adata, he_image):
    _extract(spot_adata, he_image)
    spot_adata.obs["prompt"] = np.arange(spot_adata.n_obs) % 3 == 0
    tl.impute(spot_adata, method="image_ridge", key_added="out", progress=False)
    assert np.isfinite(spot_adata.layers["out"]).any()


def _measured(adata):
    rng = np.random.default_rng(0)
    adata = AnnData(rng.poisson(3.0, (adata.n_obs, 12)).astype(np.float32), obs=adata.obs, obsm=dict(adata.obsm))
    adata.var_names = [f"G{i}" for i in range(12)]
    adata.obs["prompt"] = np.arange(adata.n_obs) % 2 == 0
    adata.obs["patient"] = "P1"
    return adata


def test_a_model_names_the_call_that_makes_its_features(spot_adata, he_image):
    trained = [_extract(_measured(spot_adata), he_image, pool_um=48) for _ in range(2)]
    for number, one in enumerate(trained):
        one.obs["patient"] = f"P{number}"
    model = tl.train(trained, method="image_ridge", progress=False)
    assert (model.card["features"]["context_mode"], model.card["features"]["pool_um"]) == ("tokens", [48.0, 48.0])
    new = _measured(spot_adata)
    call = r"extract_embeddings\(data, encoder='colors', tile_um=112, context_mode='tokens', pool_um=48\)"
    _extract(new, he_image, pool_um=80)
    with pytest.raises(
        ValueError, match=f"patches pooled over 80 µm, and .* trained on patches pooled over 48 µm: run .*{call}"
    ):
        tl.impute(new, model=model, progress=False)
    with pytest.raises(ValueError, match=f"different kinds: .*{call}"):
        tl.train([trained[0], new], method="image_ridge", progress=False)
    del new.obsm["X_colors_tokens"]
    pp.extract_embeddings(new, image=he_image, encoder=Colors(), mpp=2.0, context=None, progress=False)
    with pytest.raises(ValueError, match=f"transform 'none', and .*{call}"):
        tl.impute(new, model=model, progress=False)
    _extract(new, he_image, pool_um=48)
    tl.impute(new, model=model, progress=False)


def test_spots_of_one_scanner_get_features_of_one_kind(spot_adata, he_image):
    """Their distance is measured on every slide, and lies at the edge of what numbers are rounded to."""
    near = [_extract(_measured(spot_adata), he_image, pool_um=pool) for pool in (52.49, 52.51, 54.5)]
    for number, one in enumerate(near):
        one.obs["patient"] = f"P{number}"
    model = tl.train(near[:2], method="image_ridge", progress=False)
    tl.impute(near[2], model=model, progress=False)
    first, second, third = (one.obsm["X_colors_tokens"] for one in near)
    spread = first.std(axis=0)
    assert (np.abs(second - first) < 0.01 * spread).all()
    assert (np.abs(third - first).mean(axis=0) < 0.1 * spread).all()


def test_what_does_not_go_together(spot_adata, he_image):
    with pytest.raises(ValueError, match="needs an encoder with features of the patches .* 'texture' has none"):
        _extract(spot_adata, he_image, "texture")
    with pytest.raises(ValueError, match="leave `context=5` out"):
        _extract(spot_adata, he_image, context=5)
    with pytest.raises(ValueError, match="`pool_um` must be a number of µm above 0"):
        _extract(spot_adata, he_image, pool_um=-1)
    with pytest.raises(ValueError, match="cannot be pooled from the patches of that tile"):
        _extract(spot_adata, he_image, pool_um=112)
    with pytest.raises(ValueError, match="`pool_um` applies to `context_mode=\"tokens\"`, and this is 'grid'"):
        pp.extract_embeddings(spot_adata, image=he_image, encoder=Colors(), mpp=2.0, pool_um=8, progress=False)
