"""Patches pooled at places: known colors, whichever tile serves a place, and how few passes that takes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from phg2st_sc._image import context_blocks, iter_tiles, open_image
from phg2st_sc.encoders import EncoderCard, TokenEncoder, plan_tokens, pooled_tokens, widest_pool

SIDE, PATCH = 7, 8  # a tile of 56 px, as it is read
TILE = SIDE * PATCH


class Colors:
    """Mean color of every patch."""

    card = EncoderCard("colors", 3, TILE, 112.0, patch_px=PATCH, token_dim=3)

    def __init__(self):
        self.passes = 0

    def __call__(self, tiles):
        return tiles.mean(axis=(1, 2)).astype(np.float32)

    def tokens(self, tiles):
        self.passes += len(tiles)
        return tiles.reshape(-1, SIDE, PATCH, SIDE, PATCH, 3).mean(axis=(2, 4)).astype(np.float32)


class Indices(Colors):
    """Row and column of every patch in its tile."""

    def tokens(self, tiles):
        grid = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"), axis=-1)
        return np.broadcast_to(grid, (len(tiles), SIDE, SIDE, 2)).astype(np.float32)


@pytest.fixture
def pixels(rng):
    """(400, 480, 3) noise in blocks of 4 px."""
    return np.kron(rng.integers(0, 256, (100, 120, 3)), np.ones((4, 4, 1))).astype(np.uint8)


def _run(pixels, places, encoder, pool_px, batch_size=5):
    image = open_image(pixels)
    plan = plan_tokens(places, float(TILE), SIDE, pool_px)
    out, times = None, np.zeros(len(places), dtype=int)
    for rows, values in pooled_tokens(plan, partial(iter_tiles, image, out_px=TILE, batch_size=batch_size), encoder):
        out = np.full((len(places), values.shape[1]), np.nan, dtype=np.float32) if out is None else out
        out[rows] = values
        times[rows] += 1
    assert (times == 1).all()
    return out, plan


def _mean_color(pixels, place, width):
    x, y = (round(float(value - width / 2)) for value in place)
    return pixels[y : y + width, x : x + width].reshape(-1, 3).mean(axis=0)


def _lattice(columns, rows, pitch, start):
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    return np.column_stack([x.ravel(), y.ravel()]) * float(pitch) + start


def test_encoders_with_tokens_are_told_by_what_they_can():
    assert isinstance(Colors(), TokenEncoder)


@pytest.mark.parametrize(("pool", "width"), [(PATCH, 8), (3 * PATCH, 24)])
def test_a_place_gets_the_color_around_it(pixels, pool, width):
    places = _lattice(38, 28, PATCH, 60)
    found, plan = _run(pixels, places, Colors(), pool)
    expected = [_mean_color(pixels, place, width) for place in places]
    np.testing.assert_allclose(found, expected, atol=0.02)
    assert len(plan.tiles) > 40


def test_between_patches_they_are_mixed_by_area(pixels):
    centers = np.array([[100.0, 100.0], [102.0, 100.0], [104.0, 104.0], [108.0, 100.0]])
    found, _ = _run(pixels, centers, Colors(), PATCH)
    patch = {(i, j): _mean_color(pixels, (100 + 8 * i, 100 + 8 * j), 8) for i in (0, 1) for j in (0, 1)}
    np.testing.assert_allclose(found[1], 0.75 * patch[0, 0] + 0.25 * patch[1, 0], atol=0.02)
    np.testing.assert_allclose(found[2], np.mean(list(patch.values()), axis=0), atol=0.02)
    np.testing.assert_allclose(found[3], patch[1, 0], atol=0.02)


def test_what_a_place_gets_does_not_depend_on_its_tile(pixels, rng):
    places = _lattice(38, 28, PATCH, 60)
    found, plan = _run(pixels, places, Colors(), PATCH)
    for _ in range(3):
        some = np.sort(rng.choice(len(places), 300, replace=False))
        again, other = _run(pixels, places[some], Colors(), PATCH)
        np.testing.assert_allclose(again, found[some], atol=0.02)
        assert len(other.tiles) <= len(plan.tiles) + 40
    order = rng.permutation(len(places))
    shuffled, _ = _run(pixels, places[order], Colors(), PATCH, batch_size=64)
    np.testing.assert_array_equal(shuffled, found[order])


@pytest.mark.parametrize(("pool", "margin"), [(PATCH, 2), (4 * PATCH, 2), (5 * PATCH, 3)])
def test_places_lie_in_the_middle_of_their_tile(pixels, rng, pool, margin):
    places = rng.uniform(60, 340, (500, 2))
    plan = plan_tokens(places, float(TILE), SIDE, pool)
    assert plan.offsets.min() >= margin
    assert plan.offsets.max() <= SIDE - margin
    corners = plan.tiles.boxes[plan.owner, :2]
    np.testing.assert_allclose(corners + plan.offsets * PATCH, places, atol=1e-9)
    found, _ = _run(pixels, places, Indices(), pool)
    np.testing.assert_allclose(found[:, ::-1], plan.offsets - 0.5, atol=1e-5)


def test_a_square_must_fit_into_a_tile():
    with pytest.raises(ValueError, match=r"A square 1 times as wide as a tile .* at most 0\.857 of its side"):
        plan_tokens(np.zeros((1, 2)), float(TILE), SIDE, TILE)


@pytest.mark.parametrize("side", [7, 14, 16, 28, 37])
def test_the_widest_square_fits_whatever_the_tile(side, rng):
    for size_px in rng.uniform(20, 900, 200):
        plan = plan_tokens(rng.uniform(0, 5000, (20, 2)), size_px, side, size_px * widest_pool(side))
        assert plan.reach == pytest.approx((side - 1) // 2)
        with pytest.raises(ValueError, match="cannot be pooled"):
            plan_tokens(np.zeros((1, 2)), size_px, side, 1.01 * size_px * widest_pool(side))


def test_patches_of_another_shape_are_refused(pixels):
    class Wrong(Colors):
        def tokens(self, tiles):
            return super().tokens(tiles)[:, 1:]

    class Infinite(Colors):
        def tokens(self, tiles):
            return super().tokens(tiles) / 0.0

    with pytest.raises(
        ValueError, match=r"returned patches of shape \(1, 6, 7, 3\) for 1 tiles, expected \(1, 7, 7, d\)"
    ):
        _run(pixels, np.full((1, 2), 99.0), Wrong(), PATCH)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="NaN or infinite features of patches"):
        _run(pixels, np.full((1, 2), 99.0), Infinite(), PATCH)


def test_bins_take_a_thousandth_of_the_passes():
    """Bins of 8 µm as UNI sees them, 14 x 14 patches of 8 µm a tile: against a tile a bin, and the tiles around it too."""
    places = _lattice(200, 200, 16.0, 1000.0)  # 8 µm at 0.5 µm per pixel
    plan = plan_tokens(places, 224.0, 14, 16.0)
    assert len(plan.tiles) == 400
    white = open_image(np.full((6000, 6000, 3), 255, dtype=np.uint8))
    around, _ = context_blocks(places, 224.0, 5, white)
    exact = len(places) + len(around)
    assert exact / len(plan.tiles) >= 2_000
    finer = plan_tokens(_lattice(800, 800, 4.0, 1000.0), 224.0, 14, 4.0)  # bins of 2 µm, against a tile a bin alone
    assert 800**2 / len(finer.tiles) >= 1_400
