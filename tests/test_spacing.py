"""The unit of distances of any pattern of points: the pitch of lattices to the last bit, a robust spacing of all others."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc._spacing import lattice_pitch, spacing

PITCH = 77.0


def lattice(kind, n=400):
    side = int(np.sqrt(n))
    x, y = np.meshgrid(np.arange(side, dtype=float), np.arange(side, dtype=float))
    if kind == "hex":
        x, y = x + 0.5 * (y % 2), y * np.sqrt(0.75)
    return np.column_stack([x.ravel(), y.ravel()]) * PITCH


def thrown(rng, n=2000):
    """Points at random, each with a square of a pitch to itself."""
    return rng.random((n, 2)) * PITCH * np.sqrt(n)


@pytest.mark.parametrize("kind", ["square", "hex"])
@pytest.mark.parametrize("jitter", [0.0, 0.03, 0.06])
@pytest.mark.parametrize("kept", [1.0, 0.7, 0.4])
def test_a_lattice_has_its_pitch_to_the_last_bit(kind, jitter, kept, rng):
    points = lattice(kind)
    points = points[rng.random(len(points)) < kept]
    points = points + rng.normal(0, jitter * PITCH, points.shape)
    assert spacing(points) == (lattice_pitch(points), True)
    assert spacing(points).distance == pytest.approx(PITCH, rel=0.06)


@pytest.mark.parametrize("kind", ["square", "hex"])
def test_missing_rows_and_sections_far_apart_leave_it_a_lattice(kind):
    points = lattice(kind, 900)
    row = np.round(points[:, 1] / points[points[:, 1] > 0, 1].min())
    assert spacing(points[row % 2 == 0]) == (pytest.approx(PITCH), True)
    assert spacing(points[row % 3 != 0]) == (pytest.approx(PITCH), True)
    assert spacing(np.concatenate([points, points + [1e6, 0]])) == (pytest.approx(PITCH), True)


@pytest.mark.parametrize("n", [200, 2000, 20_000])
def test_points_at_random_have_the_spacing_of_a_lattice_as_dense(n, rng):
    found = spacing(thrown(rng, n))
    assert not found.regular
    assert found.distance == pytest.approx(PITCH, rel=0.08)


@pytest.mark.parametrize("doubled", [0.05, 0.2, 1.0])
@pytest.mark.parametrize("kind", ["thrown", "square", "hex"])
def test_near_doubles_hardly_count(kind, doubled, rng):
    points = thrown(rng) if kind == "thrown" else lattice(kind, 2000)
    twice = points[rng.random(len(points)) < doubled]
    points = np.concatenate([points, twice + rng.normal(0, 1.0, twice.shape)])
    assert spacing(points).distance == pytest.approx(PITCH, rel=0.08)


def test_gaps_and_a_far_section_hardly_count(rng):
    points = thrown(rng, 4000)
    there = np.linalg.norm(points - points.mean(axis=0), axis=1) > 1000
    assert spacing(points[there]).distance == pytest.approx(PITCH, rel=0.1)
    assert spacing(np.concatenate([points, points + [1e6, 0]])).distance == pytest.approx(PITCH, rel=0.08)


def test_the_median_point_tells_where_density_varies(rng):
    dense, sparse = thrown(rng, 3000) / 4, thrown(rng, 1000) + [1e5, 0]
    assert spacing(np.concatenate([dense, sparse])).distance == pytest.approx(PITCH / 4, rel=0.15)


def test_a_lattice_that_is_jittered_away_is_none(rng):
    points = lattice("square", 2000)
    found = spacing(points + rng.normal(0, 0.5 * PITCH, points.shape))
    assert found == (pytest.approx(PITCH, rel=0.06), False)


def test_units_order_and_turns_do_not_matter(rng):
    points = thrown(rng)
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    found = spacing(points).distance
    assert spacing(rng.permutation(points)).distance == found
    assert spacing(points / 1000).distance == pytest.approx(found / 1000)
    assert spacing(points @ turn).distance == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("n", [2, 3, 9])
def test_few_points_are_too_few_to_judge(n, rng):
    points = rng.random((n, 2))
    assert spacing(points) == (lattice_pitch(points), True)


@pytest.mark.parametrize("points", [np.zeros((0, 2)), np.ones((5, 2)), [[1.0, 2.0], [np.nan, 3.0]]])
def test_fewer_than_two_places_have_no_spacing(points):
    assert np.isnan(spacing(np.asarray(points)).distance)
