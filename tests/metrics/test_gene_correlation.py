"""Gene-gene correlations against numpy's matrices."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.metrics import gene_correlation


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    factors = rng.normal(size=(150, 3))
    truth = factors @ rng.normal(size=(3, 20)) + rng.normal(size=(150, 20))
    return truth, truth + rng.normal(0, 2, truth.shape)


def _pairs(values: np.ndarray) -> np.ndarray:
    return np.corrcoef(values.T)[np.triu_indices(values.shape[1], 1)]


@pytest.mark.parametrize("rows", [512, 7])
def test_is_numpys(pair: tuple[np.ndarray, np.ndarray], rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phg2st_sc.metrics._gene_correlation._ROWS", rows)
    a, b = map(_pairs, pair)
    found = gene_correlation(*pair)
    assert found.error == pytest.approx(np.abs(a - b).mean(), rel=1e-5)
    assert found.rmse == pytest.approx(np.sqrt(((a - b) ** 2).mean()), rel=1e-5)
    assert found.agreement == pytest.approx(np.corrcoef(a, b)[0, 1], rel=1e-5)
    matrices = [np.corrcoef(side.T) for side in pair]
    frobenius = np.linalg.norm(matrices[0] - matrices[1])
    assert found.rmse == pytest.approx(frobenius / np.sqrt(20 * 19), rel=1e-5)
    assert found.n_genes == 20


def test_level_and_scale_of_genes_play_no_part(pair: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> None:
    truth, prediction = pair
    other = prediction * rng.uniform(0.1, 10, 20) + rng.normal(size=20)
    np.testing.assert_allclose(gene_correlation(truth, other), gene_correlation(truth, prediction), rtol=1e-4)
    assert gene_correlation(truth, truth).error == pytest.approx(0, abs=1e-6)


def test_one_map_for_all_genes_agrees_on_nothing(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    one = gene_correlation(truth, prediction[:, 0])
    copies = prediction[:, :1].astype(np.float32) * np.linspace(0.1, 3, 20, dtype=np.float32)
    for found in (one, gene_correlation(truth, copies)):
        assert found.agreement == 0
        assert found.error == pytest.approx((1 - _pairs(truth)).mean(), rel=1e-4)


def test_saying_nothing_has_the_measured_correlations_as_error(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = pair
    found = gene_correlation(truth, np.full(150, 3.0))
    assert found.error == pytest.approx(np.abs(_pairs(truth)).mean(), rel=1e-5)
    assert found.agreement == 0
    silent = prediction.copy()
    silent[:, 4] = 1.0
    mixed = gene_correlation(truth, silent)
    assert np.isfinite(mixed.error)


def test_attenuation_undoes_what_noise_does(rng: np.random.Generator) -> None:
    clean = rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 15))
    clean /= clean.std(axis=0)
    noise = rng.uniform(0.5, 2.0, 15)
    measured = clean + noise * rng.normal(size=clean.shape)
    factors = 1 / np.sqrt(1 + noise**2)
    plain, mended = gene_correlation(measured, clean), gene_correlation(measured, clean, attenuation=factors)
    assert plain.error > 0.15
    assert mended.error < 0.02
    assert mended.agreement > plain.agreement


def test_constant_truth_is_left_out(pair: tuple[np.ndarray, np.ndarray]) -> None:
    truth, prediction = (side.copy() for side in pair)
    truth[:, 3] = 1.0
    kept = np.arange(20) != 3
    assert gene_correlation(truth, prediction) == gene_correlation(truth[:, kept], prediction[:, kept])
    assert np.isnan(gene_correlation(truth[:, :2], prediction[:, :2]).error)
    with pytest.raises(ValueError, match="`attenuation` must hold one factor for each of the 20 genes"):
        gene_correlation(truth, prediction, attenuation=[1.0])
