"""Spots to measure: what they leave open, against random ones and against the same sums by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from phg2st_sc.design import Survey, suggest
from phg2st_sc.design import _suggest as sizes
from phg2st_sc.linear import Covariance, Kernel, Places

NONE = np.zeros(0, dtype=np.int64)


def survey(side=12, *, measured=NONE, image=False, ratio=1.0):
    positions = np.argwhere(np.ones((side, side))).astype(float)
    looks = np.random.default_rng(0).normal(size=(side**2, 3)) if image else None
    covariance = Covariance(Kernel(3.0, 0.5, 8.0), ratio)
    return Survey(Places.of(positions, looks), covariance, measured, np.ones(measured.size), np.ones(side**2))


def left_open(known, spots):
    """Mean variance about the mean over the slide once the spots are measured, by the formula."""
    spots = np.concatenate([known.measured, spots])
    noise = np.concatenate([known.noise, known.expected_noise[spots[known.measured.size :]]]) / known.covariance.ratio
    every = known.covariance.signal(known.places, known.places)
    taken = every[:, spots] @ np.linalg.solve(every[np.ix_(spots, spots)] + np.diag(noise), every[spots])
    posterior = every - taken
    return np.trace(posterior) / len(every) - posterior.mean()


@pytest.mark.parametrize("image", [False, True])
@pytest.mark.parametrize("measured", [NONE, np.array([0, 17, 80])])
@pytest.mark.parametrize("block", [False, True])
def test_what_is_promised_is_what_the_formula_says(image, measured, block):
    known = survey(image=image, measured=measured)
    known = replace(known, expected_noise=np.linspace(0.5, 2.0, known.places.n))
    free = np.setdiff1d(np.arange(known.places.n), measured)
    chosen = suggest(known, 9, free, block=block, seed=0)
    assert len(set(chosen.spots)) == 9
    assert np.isin(chosen.spots, free).all()
    assert chosen.before == pytest.approx(left_open(known, NONE))
    assert chosen.after == pytest.approx(left_open(known, chosen.spots))


def test_each_spot_is_the_best_next_one():
    known = survey(6)
    chosen = suggest(known, 4, np.arange(36), block=False, seed=0).spots
    for number in range(4):
        rest = np.setdiff1d(np.arange(36), chosen[:number])
        open_after = [left_open(known, np.append(chosen[:number], spot)) for spot in rest]
        assert left_open(known, chosen[: number + 1]) == pytest.approx(min(open_after))


def test_less_is_left_open_than_by_random_spots():
    known, rng = survey(image=True), np.random.default_rng(0)
    ours = left_open(known, suggest(known, 14, np.arange(144), block=False, seed=0).spots)
    assert ours < min(left_open(known, rng.permutation(144)[:14]) for _ in range(50))


def test_a_block_is_one_square_and_better_than_one_at_the_edge():
    known = survey()
    chosen = suggest(known, 25, np.arange(144), block=True, seed=0).spots
    where = known.places.positions[chosen]
    assert np.ptp(where, axis=0).tolist() == [4.0, 4.0]
    pairs = cKDTree(where).sparse_distance_matrix(cKDTree(where), 1.1)
    assert connected_components(pairs)[0] == 1
    corner = np.flatnonzero((known.places.positions < 5).all(axis=1))
    assert left_open(known, chosen) < left_open(known, corner)


def test_a_block_goes_where_nothing_was_measured():
    left = np.flatnonzero(np.argwhere(np.ones((12, 12)))[:, 1] < 6)
    known = survey(measured=left)
    chosen = suggest(known, 9, np.setdiff1d(np.arange(144), left), block=True, seed=0).spots
    assert known.places.positions[chosen, 1].min() >= 7


def test_spots_that_will_have_few_counts_come_later():
    known = survey()
    poor = np.arange(144) % 2 == 0
    chosen = suggest(
        replace(known, expected_noise=np.where(poor, 4.0, 1.0)), 20, np.arange(144), block=False, seed=0
    ).spots
    assert poor[chosen].sum() <= 4


def test_the_only_candidate_is_chosen_and_all_of_few():
    known = survey(5)
    assert suggest(known, 1, np.array([7]), block=False, seed=0).spots.tolist() == [7]
    assert suggest(known, 1, np.array([7]), block=True, seed=0).spots.tolist() == [7]
    assert sorted(suggest(known, 3, np.array([7, 1, 20]), block=False, seed=0).spots) == [1, 7, 20]


@pytest.mark.parametrize("n", [20, 60])
def test_large_slides_come_near_to_what_all_comparisons_reach(monkeypatch, n):
    measured = np.arange(0, 200, 10)
    known = survey(24, measured=measured)
    free = np.setdiff1d(np.arange(576), measured)
    whole = left_open(known, suggest(known, n, free, block=False, seed=0).spots)
    for name, value in {"_MOST_TOGETHER": 250, "_MOST_TARGETS": 150, "_MOST_SPARSE": 30, "_PART": 150}.items():
        monkeypatch.setattr(sizes, name, value)
    parts = suggest(known, n, free, block=False, seed=0)
    assert len(set(parts.spots)) == n
    assert np.isin(parts.spots, free).all()
    before = left_open(known, NONE)
    assert before - left_open(known, parts.spots) > 0.93 * (before - whole)


def test_parts_that_were_measured_get_fewer(monkeypatch):
    for name, value in {"_MOST_TOGETHER": 250, "_MOST_SPARSE": 30, "_PART": 300}.items():
        monkeypatch.setattr(sizes, name, value)
    left = np.flatnonzero(np.argwhere(np.ones((24, 24)))[:, 0] < 12)
    known = survey(24, measured=left[::4])
    free = np.setdiff1d(np.arange(576), known.measured)
    chosen = suggest(known, 60, free, block=False, seed=0).spots
    assert np.isin(chosen, left).sum() < 10


def test_what_is_open_counts_every_part_by_its_size(monkeypatch):
    for name, value in {"_MOST_TOGETHER": 250, "_MOST_SPARSE": 30, "_PART": 300}.items():
        monkeypatch.setattr(sizes, name, value)
    known = survey(24, measured=np.arange(0, 200, 10))
    some = np.setdiff1d(np.flatnonzero(known.places.positions[:, 0] < 8), known.measured)
    less = suggest(known, 40, some, block=False, seed=0)
    more = suggest(known, 200, np.setdiff1d(np.arange(576), known.measured), block=False, seed=0)
    assert less.before == pytest.approx(more.before)
    assert less.before > less.after > more.after > 0
