"""SSIM over windows of held-out spots: skimage's where there is a raster, and what a hole may not do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from phg2st_sc.metrics import ssim


def _lattice(side: int = 20) -> np.ndarray:
    return np.argwhere(np.ones((side, side))).astype(float)


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = np.stack([gaussian_filter(rng.normal(size=(20, 20)), 2).ravel() for _ in range(4)], axis=1)
    return truth, truth + rng.normal(0, 0.5 * truth.std(), truth.shape)


@pytest.mark.parametrize("window", [3, 7])
def test_is_that_of_skimage_on_a_full_square_lattice(pair: tuple[np.ndarray, np.ndarray], window: int) -> None:
    from skimage.metrics import structural_similarity

    truth, prediction = pair
    expected = [
        structural_similarity(
            t.reshape(20, 20), p.reshape(20, 20), win_size=window, data_range=np.ptp(t), gaussian_weights=False
        )
        for t, p in zip(truth.T, prediction.T, strict=True)
    ]
    ours = ssim(truth, prediction, _lattice(), window=window, min_share=1.0, rescale=False)
    np.testing.assert_allclose(ours, expected, rtol=1e-9)
    with_range = ssim(truth, prediction, _lattice(), window=window, min_share=1.0, rescale=False, data_range=2.0)
    assert not np.allclose(with_range, ours)


def test_level_and_scale_are_forgiven(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    np.testing.assert_allclose(ssim(truth, 3 * prediction + 100, _lattice()), ssim(truth, prediction, _lattice()))
    np.testing.assert_allclose(ssim(truth, 0.1 * truth - 7, _lattice()), 1.0)
    assert (ssim(truth, 3 * prediction + 100, _lattice(), rescale=False) < 0.1).all()


def test_places_without_spots_are_not_filled_in(pair: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    truth, prediction = pair
    heldout = rng.random(400) > 0.15
    before = ssim(truth[heldout], prediction[heldout], _lattice()[heldout])
    order = rng.permutation(int(heldout.sum()))
    after = ssim(truth[heldout][order], prediction[heldout][order], _lattice()[heldout][order])
    np.testing.assert_allclose(after, before)
    np.testing.assert_allclose(before, ssim(truth, prediction, _lattice()), atol=0.1)


def test_moving_a_map_lowers_it_though_smooth(pair: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    truth, _ = pair
    moved = np.roll(truth.reshape(20, 20, 4), 6, axis=0).reshape(400, 4)
    noise = rng.normal(size=truth.shape)
    assert (ssim(truth, moved, _lattice()) < 0.5).all()
    assert np.abs(ssim(truth, noise, _lattice())).mean() < 0.06


def test_hexagonal_and_jittered_lattices(rng: np.random.Generator) -> None:
    row, column = np.divmod(np.arange(400), 20)
    hexagonal = np.stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2], axis=1)
    truth = np.sin(hexagonal[:, 0] / 3)
    np.testing.assert_allclose(ssim(truth, truth, hexagonal), 1.0)
    jittered = _lattice() + rng.uniform(-0.2, 0.2, (400, 2))
    other = truth + rng.normal(0, 0.3, 400)
    np.testing.assert_allclose(ssim(truth, other, jittered, window=5), ssim(truth, other, _lattice(), window=5))


def test_constant_maps(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    assert (ssim(truth, np.full(400, 3.0), _lattice()) == 0).all()
    assert np.isnan(ssim(np.ones((400, 4)), prediction, _lattice())).all()


def test_clear_errors(pair: tuple[np.ndarray, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="odd number of lattice pitches, 3 or more, not 4"):
        ssim(*pair, _lattice(), window=4)
    with pytest.raises(ValueError, match="`min_share` must be above 0"):
        ssim(*pair, _lattice(), min_share=0)
    with pytest.raises(ValueError, match="over 400 spots, `positions` over 9"):
        ssim(*pair, _lattice(3))
