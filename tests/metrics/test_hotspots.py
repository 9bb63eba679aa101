"""Coverage of the strongest spots: small answers, ties, and chance."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from phg2st_sc.metrics import hotspot_coverage, hotspot_kappa


def test_by_hand() -> None:
    truth = np.array([0.0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    swapped = np.array([0.0, 1, 2, 3, 4, 5, 9, 7, 8, 6])  # the strongest three are spots 6, 7, 8
    assert hotspot_coverage(truth, swapped, share=0.3).tolist() == pytest.approx([2 / 3])
    assert hotspot_coverage(truth, -truth, share=0.3).tolist() == [0]
    assert hotspot_coverage(truth, np.exp(truth), share=0.3).tolist() == [1]
    assert hotspot_kappa(truth, np.exp(truth), share=0.3).tolist() == [1]


def test_kappa_is_cohens(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(200, 6))
    prediction = truth + rng.normal(size=truth.shape)

    def strongest(values: np.ndarray) -> np.ndarray:
        return values >= np.sort(values)[-20]

    expected = [cohen_kappa_score(strongest(t), strongest(p)) for t, p in zip(truth.T, prediction.T, strict=True)]
    np.testing.assert_allclose(hotspot_kappa(truth, prediction), expected)


def test_no_signal_is_chance(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(200, 500))
    assert hotspot_coverage(truth, rng.normal(size=truth.shape)).mean() == pytest.approx(0.1, abs=0.01)
    assert hotspot_kappa(truth, rng.normal(size=truth.shape)).mean() == pytest.approx(0, abs=0.01)


def test_ties_share_out_the_places(rng: np.random.Generator) -> None:
    truth = rng.normal(size=(100, 3))
    constant = np.full(100, 5.1, dtype=np.float32)
    nearly = (constant + rng.integers(-1, 2, 100) * np.spacing(np.float32(5.1))).astype(np.float32)
    for flat in (constant, nearly):
        np.testing.assert_allclose(hotspot_coverage(truth, flat), 0.1)
        np.testing.assert_allclose(hotspot_kappa(truth, flat), 0.0, atol=1e-12)
    # 20 spots tie for 10 places: each is in by half
    order = np.arange(100.0)
    half = (order >= 80).astype(float)
    assert hotspot_coverage(order, half).tolist() == pytest.approx([0.5])


def test_constant_truth_and_wrong_share(rng: np.random.Generator) -> None:
    assert np.isnan(hotspot_coverage(np.ones(20), rng.normal(size=20))).all()
    assert np.isnan(hotspot_kappa(np.ones(20), rng.normal(size=20))).all()
    for share in (0, 1, 1.5):
        with pytest.raises(ValueError, match="`share` must be above 0 and below 1"):
            hotspot_coverage(np.arange(5.0), np.arange(5.0), share=share)
