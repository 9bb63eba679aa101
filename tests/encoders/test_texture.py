"""The texture encoder: known answers, no randomness, no influence between tiles, signs where they should be."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.encoders import TextureEncoder
from phg2st_sc.encoders._texture import CARD, N_FEATURES, feature_names, tile_features


def _at(tile, name):
    return tile_features(tile)[feature_names().index(name)]


def _stained(rng, color, noise=6.0):
    return np.clip(rng.normal(color, noise, (CARD.input_px, CARD.input_px, 3)), 0, 255).astype(np.uint8)


def _nuclei(centers, radius, background=(225, 170, 200), nucleus=(90, 60, 140), px=160):
    y, x = np.mgrid[:px, :px] + 0.5
    tile = np.tile(np.array(background, dtype=np.uint8), (px, px, 1))
    for cx, cy in centers:
        tile[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = nucleus
    return tile


@pytest.fixture
def tiles(rng):
    return rng.integers(0, 256, (7, CARD.input_px, CARD.input_px, 3), dtype=np.uint8)


def test_card_tells_the_truth(tiles):
    names = feature_names()
    assert len(names) == len(set(names)) == N_FEATURES == CARD.dim
    assert TextureEncoder()(tiles).shape == (7, N_FEATURES)
    assert TextureEncoder()(tiles[:0]).shape == (0, N_FEATURES)


def test_same_bits_in_every_batch_and_order(tiles, rng):
    encoder = TextureEncoder()
    together = encoder(tiles)
    assert together.dtype == np.float32
    np.testing.assert_array_equal(np.vstack([encoder(tile[None]) for tile in tiles]), together)
    order = rng.permutation(7)
    np.testing.assert_array_equal(encoder(tiles[order]), together[order])


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_flat_tiles_are_finite_without_texture(value):
    tile = np.full((160, 160, 3), value, dtype=np.uint8)
    features = dict(zip(feature_names(), tile_features(tile), strict=True))
    assert np.isfinite(list(features.values())).all()
    for name in ("haematoxylin_s1_grad_mean", "eosin_s3_local_std", "nuclei_blob2.5_density", "structure_alignment"):
        assert abs(features[name]) < 1e-2
    assert features["tissue_fraction"] == float(value < 181)


def test_stains_are_told_apart(rng):
    purple, pink = _stained(rng, (95, 65, 150)), _stained(rng, (230, 120, 180))
    assert _at(purple, "haematoxylin_mean") > 2 * _at(pink, "haematoxylin_mean")
    assert _at(pink, "eosin_mean") > _at(purple, "eosin_mean")
    assert _at(purple, "lightness_mean") < _at(pink, "lightness_mean")


def test_tissue_fraction_is_the_covered_share():
    tile = np.full((160, 160, 3), 255, dtype=np.uint8)
    tile[:40] = (120, 70, 150)
    assert _at(tile, "tissue_fraction") == pytest.approx(0.25)


def test_more_nuclei_more_density_larger_nuclei_more_area():
    grid = [(x, y) for x in range(20, 150, 30) for y in range(20, 150, 30)]
    few, many, large = _nuclei(grid[::3], 5), _nuclei(grid, 5), _nuclei(grid, 8)
    assert _at(many, "nuclei_segment_density") > _at(few, "nuclei_segment_density")
    assert _at(many, "nuclei_blob2.5_density") > _at(few, "nuclei_blob2.5_density")
    assert _at(large, "nuclei_segment_area") > _at(many, "nuclei_segment_area")
    field_mm2 = 0.112**2
    assert np.expm1(_at(many, "nuclei_segment_density")) == pytest.approx(len(grid) / field_mm2, rel=0.01)
    disc_um2 = np.pi * (5 * 112 / 160) ** 2
    assert np.expm1(_at(many, "nuclei_segment_area")) == pytest.approx(disc_um2, rel=0.35)


def test_stripes_are_aligned_and_noise_is_not(rng):
    stripes = np.tile(np.where(np.arange(160) % 16 < 8, 230, 120).astype(np.uint8)[:, None, None], (1, 160, 3))
    assert _at(stripes, "structure_alignment") > 0.9
    assert _at(_stained(rng, (170, 120, 170), 25), "structure_alignment") < 0.1


def test_turning_a_tile_keeps_its_statistics(rng):
    grid = [(x, y) for x in range(20, 150, 35) for y in range(25, 150, 25)]
    tile = _nuclei(grid, 5)
    np.testing.assert_allclose(tile_features(np.rot90(tile)), tile_features(tile), rtol=2e-2, atol=2e-2)


def test_coarser_texture_shows_at_a_coarser_scale(rng):
    fine = rng.integers(80, 220, (160, 160, 1))
    coarse = np.kron(rng.integers(80, 220, (20, 20, 1)), np.ones((8, 8, 1)))
    fine, coarse = (np.repeat(t, 3, axis=-1).astype(np.uint8) for t in (fine, coarse))
    for scale, larger, smaller in ((1, fine, coarse), (3, coarse, fine)):
        name = f"haematoxylin_s{scale}_log_energy"
        assert _at(larger, name) > _at(smaller, name)


def test_tiny_tiles_are_refused():
    with pytest.raises(ValueError, match="at least 64 x 64"):
        tile_features(np.zeros((16, 16, 3), dtype=np.uint8))
