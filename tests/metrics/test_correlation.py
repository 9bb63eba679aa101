"""Coefficients against one-liners, torchmetrics and scikit-learn, and the rules for constant genes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from phg2st_sc.metrics import ccc, mae, partial_pcc, pcc


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.gamma(2.0, 1.0, (60, 7))
    return truth, 0.5 * truth + rng.normal(0.2, 1.0, (60, 7))


def test_pcc_is_numpys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    expected = [np.corrcoef(truth[:, g], prediction[:, g])[0, 1] for g in range(7)]
    np.testing.assert_allclose(pcc(truth, prediction), expected, rtol=1e-12)


def test_one_map_for_all_genes(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    one = prediction[:, 0]
    np.testing.assert_allclose(pcc(truth, one), pcc(truth, np.repeat(one[:, None], 7, axis=1)), rtol=1e-12)


def test_against_torchmetrics(pair: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch")
    torchmetrics = pytest.importorskip("torchmetrics")
    truth, prediction = pair
    target, preds = torch.from_numpy(truth), torch.from_numpy(prediction)
    cases = (
        (pcc, torchmetrics.PearsonCorrCoef(num_outputs=7)),
        (ccc, torchmetrics.ConcordanceCorrCoef(num_outputs=7)),
        (mae, torchmetrics.MeanAbsoluteError(num_outputs=7)),
    )
    for ours, theirs in cases:
        np.testing.assert_allclose(ours(truth, prediction), theirs(preds, target).numpy(), rtol=1e-5)


def test_ccc_punishes_shift_and_scale() -> None:
    truth = np.array([1.0, 2.0, 3.0])
    assert ccc(truth, truth)[0] == pytest.approx(1.0)
    assert ccc(truth, truth + 1)[0] == pytest.approx(2 / 3)  # 2 * 1 / (1 + 1 + 1)
    assert ccc(truth, 2 * truth)[0] == pytest.approx(4 / 9)  # 2 * 2 / (1 + 4 + 4)
    assert pcc(truth, 2 * truth + 1)[0] == pytest.approx(1.0)


def test_mae_by_hand() -> None:
    assert mae([[0.0, 5.0], [2.0, 5.0]], [[1.0, 5.0], [2.0, 4.0]]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_prediction_counts_zero_and_constant_truth_is_dropped(dtype: type, rng: np.random.Generator) -> None:
    varying = rng.normal(size=50).astype(dtype)
    constant = np.full(50, 7.3, dtype=dtype)
    for score in (pcc, ccc):
        assert score(varying, constant)[0] == 0
        assert np.isnan(score(constant, varying)[0])
        assert np.isnan(score(constant, constant)[0])


def test_rounding_of_a_constant_prediction_scores_nothing(rng: np.random.Generator) -> None:
    # a matrix product in single precision leaves differences in the last place, which correlate with something
    prediction = (np.float32(5.1) + rng.integers(-1, 2, 50) * np.spacing(np.float32(5.1))).astype(np.float32)
    assert np.ptp(prediction) > 0
    assert pcc(prediction.astype(np.float64) * 1e6, prediction)[0] == 0


def test_partial_correlation_is_that_of_residuals(
    pair: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    truth, prediction = pair
    depth = rng.normal(size=60)
    truth, prediction = truth + depth[:, None], prediction + 2 * depth[:, None]

    def left(values: np.ndarray) -> np.ndarray:
        return values - LinearRegression().fit(depth[:, None], values).predict(depth[:, None])

    np.testing.assert_allclose(partial_pcc(truth, prediction, depth), pcc(left(truth), left(prediction)), rtol=1e-9)
    r_xy, r_xz, r_yz = (
        np.corrcoef(a, b)[0, 1]
        for a, b in ((truth[:, 0], prediction[:, 0]), (truth[:, 0], depth), (prediction[:, 0], depth))
    )
    expected = (r_xy - r_xz * r_yz) / np.sqrt((1 - r_xz**2) * (1 - r_yz**2))
    assert partial_pcc(truth, prediction, depth)[0] == pytest.approx(expected)


def test_partial_correlation_of_depth_itself_is_zero(rng: np.random.Generator) -> None:
    depth = rng.normal(size=80)
    truth = depth + rng.normal(size=80)
    assert pcc(truth, depth)[0] > 0.5
    assert partial_pcc(truth, (3 * depth + 9).astype(np.float32), depth)[0] == 0
    assert np.isnan(partial_pcc(2 * depth, truth, depth)[0])


def test_partial_correlation_given_a_constant_is_plain(pair: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_allclose(partial_pcc(*pair, np.ones(60)), pcc(*pair), rtol=1e-12)


@pytest.mark.parametrize("score", [pcc, ccc, mae])
def test_clear_errors(score: object) -> None:
    with pytest.raises(ValueError, match=r"prediction.* is nan at spot 1, gene 0"):
        score(np.ones((3, 1)), np.array([[1.0], [np.nan], [1.0]]))
    with pytest.raises(ValueError, match="differ in spots or genes"):
        score(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="at least 2 spots"):
        score(np.ones((1, 2)), np.ones((1, 2)))
