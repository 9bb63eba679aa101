"""Accuracy that is to be expected, against maps drawn from the model itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from phg2st_sc._evidence import LeftOut
from phg2st_sc.design import Belief, Survey, correlations, expected_correlation
from phg2st_sc.design import _accuracy as accuracy
from phg2st_sc.design._accuracy import observed_correlation
from phg2st_sc.design._expected import RATIOS, left_out_correlation
from phg2st_sc.linear import Covariance, Kernel, Places

SIDE, RATIO = 16, 0.5
NUMBER = int(np.argmin(np.abs(np.log(RATIOS / RATIO))))


def survey(side=SIDE, *, kernel=Kernel(3.0, 0.0, 8.0)):  # noqa: B008 - frozen
    positions = np.argwhere(np.ones((side, side))).astype(float)
    none = np.zeros(0, dtype=np.int64)
    covariance = Covariance(kernel, 1.0)
    return Survey(Places.of(positions), covariance, none, np.zeros(0), np.ones(side**2))


def drawn(known, n_genes=400):
    """Signal, and what would be measured of it, of genes with one ratio of signal to noise."""
    rng, ratio = np.random.default_rng(0), RATIOS[NUMBER]
    every = known.covariance.signal(known.places, known.places)
    signal = np.linalg.cholesky(every + 1e-9 * np.eye(len(every))) @ rng.normal(size=(len(every), n_genes))
    return every, signal, signal + rng.normal(size=signal.shape) / np.sqrt(ratio)


def kriged(every, measured, spots):
    among = every[np.ix_(spots, spots)] + np.eye(spots.size) / RATIOS[NUMBER]
    return every[:, spots] @ np.linalg.solve(among, measured[spots])


def mean_correlation(a, b):
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    return float(((a * b).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))).mean())


@pytest.mark.parametrize("n", [8, 25, 100])
def test_maps_drawn_from_the_model_are_predicted_as_well_as_is_said(n):
    known = survey()
    every, _, measured = drawn(known)
    spots = np.sort(np.random.default_rng(1).permutation(SIDE**2)[:n])
    rest = np.setdiff1d(np.arange(SIDE**2), spots)
    near = cKDTree(known.places.positions[rest]).query_ball_point(known.places.positions[rest], 1.5)
    target = np.array([measured[rest[one]].mean(axis=0) for one in near])
    made = kriged(every, measured, spots)[rest]
    made = np.array([made[one].mean(axis=0) for one in near])
    assert expected_correlation(known, spots, rest)[NUMBER] == pytest.approx(mean_correlation(made, target), abs=0.04)


def test_left_out_spots_are_predicted_as_well_as_is_said():
    known = survey()
    every, _, measured = drawn(known)
    spots = np.sort(np.random.default_rng(1).permutation(SIDE**2)[:60])
    folds = np.arange(60) % 5
    truth, made = measured[spots].copy(), np.empty((60, measured.shape[1]))
    for fold in range(5):
        here = folds == fold
        made[here] = kriged(every, measured, spots[~here])[spots[here]]
        truth[here] -= truth[here].mean(axis=0)
        made[here] -= made[here].mean(axis=0)
    assert left_out_correlation(known, spots, folds)[NUMBER] == pytest.approx(mean_correlation(made, truth), abs=0.04)


def test_more_signal_and_more_prompts_make_better_maps():
    random = correlations(survey(), np.arange(SIDE**2), [10, 40, 120], seed=0)["random"]
    assert (np.diff(random, axis=0) > 0).all()
    assert (np.diff(random[1]) > 0).all()


def test_suggested_spots_are_expected_to_be_better():
    made = correlations(survey(), np.arange(SIDE**2), [12, 40], seed=0)
    assert (np.array(made["suggested"]) > np.array(made["random"]))[:, NUMBER].all()


def left_out(correlation, *, n=100, n_genes=300):
    """Prompts of which the rates are known as well as that."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(n, n_genes))
    noise = rng.normal(size=signal.shape)
    truth = correlation * signal + np.sqrt(1 - correlation**2) * noise
    rate = np.maximum(1.0 + 0.1 * signal, 0.1) / n_genes
    totals = np.full(n, 3000.0)
    counts = np.maximum(10 + 3 * truth, 0)
    spots = np.sort(rng.permutation(SIDE**2)[:n])
    return LeftOut(spots, np.arange(n) % 5, counts.astype(np.float32), totals, rate.astype(np.float32))


@pytest.mark.parametrize("correlation", [0.0, 0.3])
def test_the_correlation_at_left_out_prompts_is_found_whatever_their_level(correlation):
    one = left_out(correlation)
    found, error = observed_correlation(one)
    assert found == pytest.approx(correlation, abs=max(0.02, 3 * error))
    one.rate[one.folds == 2] *= 3.0  # a fold that is predicted at another level
    assert observed_correlation(one)[0] == pytest.approx(found, abs=0.12)


def test_left_out_prompts_narrow_the_bounds_and_move_them():
    known = survey()
    spots = np.sort(np.random.default_rng(0).permutation(SIDE**2)[:60])
    by_ratio = expected_correlation(known, spots, np.setdiff1d(np.arange(SIDE**2), spots))
    nothing, low, high = (
        Belief.of(known, one).summary(by_ratio, 60, 0.9) for one in (None, left_out(0.03), left_out(0.35))
    )
    assert low[0] < nothing[0] < high[0]
    for expected, lower, upper in (nothing, low, high):
        assert 0 <= lower < expected < upper <= 1
    assert low[2] - low[1] < nothing[2] - nothing[1]
    assert low[1] < high[1]
    assert low[2] < high[2]


def test_parts_stand_for_a_large_slide(monkeypatch):
    known = survey(30, kernel=Kernel(1.5))
    whole = correlations(known, np.arange(900), [45, 180], seed=0)
    monkeypatch.setattr(accuracy, "_WINDOW", 300)
    parts = correlations(known, np.arange(900), [45, 180], seed=0)
    for design in ("random", "suggested"):
        np.testing.assert_allclose(np.array(parts[design])[:, NUMBER], np.array(whole[design])[:, NUMBER], rtol=0.2)


@pytest.mark.parametrize("window", [2000, 60])
def test_only_spots_that_can_be_measured_are_chosen_and_scored(monkeypatch, window):
    monkeypatch.setattr(accuracy, "_WINDOW", window)
    known, seen = survey(), []
    there = np.flatnonzero(known.places.positions[:, 0] % 2 == 0)

    def noted(survey, spots, scored):
        seen.extend(survey.places.positions[np.concatenate([spots, scored])])
        return expected_correlation(survey, spots, scored)

    monkeypatch.setattr(accuracy, "expected_correlation", noted)
    correlations(known, there, [20], seed=0)
    assert (np.array(seen)[:, 0] % 2 == 0).all()
