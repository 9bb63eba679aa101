"""Folds of prompts that are as hard as the task."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from phg2st_sc.linear import _folds


def _gap(positions, index, folds):
    gaps = []
    for fold in np.unique(folds):
        out, kept = positions[index[folds == fold]], positions[index[folds != fold]]
        gaps.append(cdist(out, kept).min(axis=1))
    return float(np.concatenate(gaps).mean())


def test_folds_are_as_hard_as_the_task(rng):
    positions = np.argwhere(np.ones((30, 30))).astype(float)
    scattered = np.sort(rng.choice(900, 90, replace=False))
    block = np.sort(np.argsort(((positions - 5) ** 2).sum(axis=1))[:90])
    easy = _folds.matched_folds(positions, scattered, seed=0)
    hard = _folds.matched_folds(positions, block, seed=0)
    for folds in (easy, hard):
        assert np.unique(folds).tolist() == [0, 1, 2, 3, 4]
        assert np.bincount(folds).min() >= 5
    random_gap = _gap(positions, block, np.random.default_rng(0).permutation(np.arange(90) % 5))
    assert _gap(positions, block, hard) > 1.5 * random_gap
    # scattered prompts: random folds leave gaps like those of the unmeasured spots
    wanted = cdist(np.delete(positions, scattered, axis=0), positions[scattered]).min(axis=1).mean()
    assert _gap(positions, scattered, easy) == pytest.approx(wanted, rel=0.35)


def test_folds_repeat_and_follow_the_seed(rng):
    positions = rng.uniform(0, 20, (200, 2))
    index = np.sort(rng.choice(200, 50, replace=False))
    one = _folds.matched_folds(positions, index, seed=0)
    np.testing.assert_array_equal(one, _folds.matched_folds(positions, index, seed=0))
    assert not np.array_equal(one, _folds.matched_folds(positions, index, seed=1))


def test_fewer_prompts_than_folds(rng):
    positions = rng.uniform(0, 20, (30, 2))
    folds = _folds.matched_folds(positions, np.array([3, 7, 20]), seed=0)
    assert sorted(folds) == [0, 1, 2]
