"""Kriging by blocks against one system of all prompts."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.linear import _blockwise, _inducing, _krige
from phg2st_sc.linear._gaussian import Covariance
from phg2st_sc.linear._groups import evenly, groups, surrounding
from phg2st_sc.linear._inducing import Inducing
from phg2st_sc.linear._kernels import Kernel, Places
from phg2st_sc.linear._krige import predict_columns

SIGNAL = np.array([2.0, 0.5, 2.0])


@pytest.fixture
def few_at_once(monkeypatch):
    """Sizes that make blocks of a test's few prompts."""

    def sizes(*, exact=10, block=20, around=20, by_space=10, by_image=20):
        monkeypatch.setattr(_krige, "MAX_EXACT", exact)
        monkeypatch.setattr(_blockwise, "BLOCK", block)
        monkeypatch.setattr(_blockwise, "AROUND", around)
        monkeypatch.setattr(_inducing, "MOST_BY_SPACE", by_space)
        monkeypatch.setattr(_inducing, "MOST_BY_IMAGE", by_image)

    return sizes


def slide(rng, n=1600, p=500):
    side = int(np.sqrt(n))
    positions = np.argwhere(np.ones((side, side))).astype(float)
    image = np.stack([np.sin(positions[:, 0] / 5), np.cos(positions[:, 1] / 7)], axis=1) + rng.normal(size=(n, 2)) / 4
    index = np.sort(rng.choice(n, p, replace=False))
    noise = rng.uniform(0.5, 2.0, p)
    truth = np.stack(
        [np.sin(positions[:, 0] / 6) + np.cos(positions[:, 1] / 5), image.sum(axis=1), positions[:, 0] / 20], 1
    )
    return Places.of(positions, image), index, noise, truth[index] + rng.normal(size=(p, 3)) * np.sqrt(noise)[:, None]


@pytest.mark.parametrize("mix", [0.0, 0.5])
@pytest.mark.parametrize(
    "sizes", [{"block": 40, "by_image": 3}, {"block": 10, "around": 0, "by_space": 40, "by_image": 40}]
)
def test_exact_where_a_block_or_the_smooth_part_knows_every_prompt(few_at_once, field, mix, sizes):
    places, index, noise, columns = field
    covariance = Covariance(Kernel(3.0, mix), 0.7)
    exact = predict_columns(places, index, noise, columns, covariance, SIGNAL)
    few_at_once(**sizes)
    by_blocks = predict_columns(places, index, noise, columns, covariance, SIGNAL)
    assert not np.array_equal(exact, by_blocks)
    np.testing.assert_allclose(by_blocks, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_many_columns_share_their_smooth_part(few_at_once, monkeypatch, field, mix):
    """It is not kept by every block then, and taken away where it is asked for, in single precision."""
    places, index, noise, columns = field
    covariance = Covariance(Kernel(3.0, mix), 0.7)
    few_at_once()
    own = predict_columns(places, index, noise, columns, covariance, SIGNAL)
    monkeypatch.setattr(_blockwise, "_FEW", 0)
    shared = predict_columns(places, index, noise, columns, covariance, SIGNAL)
    np.testing.assert_allclose(shared, own, atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "most"),
    [(Kernel(5.0), 0.05), (Kernel(3.0, 0.5, 8.0), 0.05), (Kernel(30.0), 0.05), (Kernel(2.0, 0.85), 0.15)],
)
def test_blocks_agree_with_one_system(few_at_once, rng, kernel, most):
    places, index, noise, columns = slide(rng)
    covariance = Covariance(kernel, 0.3)
    exact = predict_columns(places, index, noise, columns, covariance, SIGNAL)
    few_at_once(block=60, around=100, by_space=40, by_image=100)
    by_blocks = predict_columns(places, index, noise, columns, covariance, SIGNAL)
    difference = by_blocks - exact
    assert np.sqrt((difference**2).mean(axis=0) / exact.var(axis=0)).max() < most
    for column in range(3):
        assert np.corrcoef(exact[:, column], by_blocks[:, column])[0, 1] > 1 - most**2


def test_far_from_all_prompts_blocks_return_to_the_level(few_at_once, rng):
    places, index, noise, columns = slide(rng)
    corner = np.flatnonzero((places.positions[index] < 20).all(axis=1))
    covariance = Covariance(Kernel(2.0), 0.3)
    at = places, index[corner], noise[corner], columns[corner] + 5.0, covariance
    exact = predict_columns(*at)
    few_at_once(block=20, around=30)
    far = (places.positions > 34).all(axis=1)
    np.testing.assert_allclose(predict_columns(*at)[far], exact[far], rtol=0.02)


def test_no_seam_between_blocks(few_at_once, rng):
    positions = np.stack([np.repeat(np.arange(60.0), 6), np.tile(np.arange(6.0), 60)], axis=1)
    places = Places.of(positions)
    index = np.sort(rng.choice(360, 180, replace=False))
    columns = np.sin(positions[index, :1] / 8) + rng.normal(size=(180, 1)) / 2
    few_at_once(block=30, around=30)
    smooth = predict_columns(places, index, np.ones(180), columns, Covariance(Kernel(10.0), 0.2))
    along = smooth.reshape(60, 6).mean(axis=1)
    few_at_once(exact=1000)
    exact = (
        predict_columns(places, index, np.ones(180), columns, Covariance(Kernel(10.0), 0.2)).reshape(60, 6).mean(axis=1)
    )
    assert np.abs(np.diff(along) - np.diff(exact)).max() < 0.1 * np.abs(np.diff(exact)).max()


def test_any_slice_of_the_spots_gives_the_same(few_at_once, rng):
    places, index, noise, columns = slide(rng)
    few_at_once(block=60, around=60)
    field = _krige.krige_columns(places, index, noise, columns, Covariance(Kernel(3.0, 0.5), 0.3))
    whole = field.whole()
    for rows in (slice(0, 7), slice(500, 1100), slice(1590, 1600)):
        np.testing.assert_allclose(field.at(rows), whole[rows], rtol=1e-5, atol=1e-6)


def test_what_inducing_places_leave_of_a_covariance_is_one_still(rng):
    places, index, *_ = slide(rng, n=400, p=150)
    kernel = Kernel(3.0, 0.6, 8.0)
    prompts = places[index]
    features = Inducing.of(kernel, prompts).at(prompts)
    covariance = Covariance(kernel, 1.0).signal(prompts, prompts)
    assert np.linalg.eigvalsh(covariance - features @ features.T).min() > -1e-6
    assert Inducing.of(kernel, prompts).width == features.shape[1]


def test_groups_hold_every_point_once_and_lie_together(rng):
    points = rng.uniform(0, 1, (1000, 2))
    found = groups(points, 70)
    np.testing.assert_array_equal(np.sort(np.concatenate(found)), np.arange(1000))
    assert max(map(len, found)) <= 70
    assert np.mean([np.ptp(points[group], axis=0).prod() for group in found]) < 2 * 70 / 1000
    assert [len(group) for group in groups(np.zeros((9, 2)), 4)] == [
        4,
        2,
        3,
    ]  # coincident points are told apart by their order


def test_evenly_takes_points_of_every_region():
    points = np.concatenate([np.zeros((900, 2)), np.ones((100, 2))]) + np.linspace(0, 0.1, 1000)[:, None]
    kept = evenly(points, 10)
    assert len(np.unique(kept)) == len(kept) <= 16
    assert (kept >= 900).any()
    np.testing.assert_array_equal(evenly(points[:5], 10), np.arange(5))


@pytest.mark.parametrize(("n", "count"), [(3000, 300), (301, 300), (300, 300), (1000, 7)])
def test_evenly_takes_about_as_many_as_it_is_asked_for(rng, n, count):
    assert count / 2 <= len(evenly(rng.uniform(0, 1, (n, 2)), count)) <= 2 * count


def test_surrounding_is_the_group_and_what_is_next_to_it():
    points = np.stack([np.arange(20.0), np.zeros(20)], axis=1)
    np.testing.assert_array_equal(surrounding(points, np.arange(5, 8), 7), [3, 4, 5, 6, 7, 8, 9])
    np.testing.assert_array_equal(surrounding(points, np.arange(5, 8), 50), np.arange(20))
