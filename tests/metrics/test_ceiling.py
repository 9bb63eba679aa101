"""The noise ceiling against predictions that know the truth."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.metrics import ceiling_of, depth_free_target, neighbor_mean, noise_ceiling, pcc, score_section

SIDE, GENES, DEPTH = 22, 60, 1500


@pytest.fixture(scope="module")
def simulated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts with known smooth rates, their noise-free residuals, and positions."""
    rng = np.random.default_rng(3)
    positions = np.argwhere(np.ones((SIDE, SIDE))).astype(float)
    waves = np.sin(positions @ rng.normal(0, 0.35, (2, GENES)) + rng.uniform(0, 6, GENES))
    rate = np.exp(0.35 * waves) * rng.gamma(3.0, 1.0, GENES)
    rate /= rate.sum(axis=1, keepdims=True)
    depth = DEPTH * rng.gamma(4.0, 0.25, SIDE**2)[:, None]
    counts = rng.poisson(depth * rate)
    total = counts.sum(axis=1, keepdims=True)
    mu = total * counts.sum(axis=0) / counts.sum()
    return counts, (total * rate - mu) / np.sqrt(mu + mu**2 / 100), positions


def test_the_truth_scores_the_ceiling(simulated: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, clean, positions = simulated
    for where, truth in ((positions, neighbor_mean(clean, positions)), (None, clean)):
        reached = pcc(depth_free_target(counts, where), truth)
        ceiling = noise_ceiling(counts, where, seed=0)
        assert reached.mean() == pytest.approx(ceiling.mean(), abs=0.02)
        assert np.abs(reached - ceiling).mean() < 0.05


def test_depth_raises_the_ceiling(simulated: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, _, positions = simulated
    shallow = np.random.default_rng(0).binomial(counts, 0.1)
    assert noise_ceiling(shallow, positions).mean() < noise_ceiling(counts, positions).mean() - 0.1


def test_ceiling_of_noise_is_nothing(rng: np.random.Generator) -> None:
    positions = np.argwhere(np.ones((20, 20))).astype(float)
    counts = rng.poisson(rng.gamma(4.0, 1.0, (400, 1)) * rng.gamma(2.0, 2.0, 400))
    scores = score_section(counts, counts.sum(axis=1), positions, np.zeros((400, 400)), 1e4, n_splits=1)
    # single genes scatter around r = 0, so that only the mean of r says so
    assert scores["ceiling"].max() > 0.3
    assert abs(scores.attrs["means"]["half_r"]) < 0.02
    assert scores.attrs["means"]["ceiling"] < 0.2


def test_seed_decides(simulated: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    counts, _, positions = simulated
    first = noise_ceiling(counts, positions, seed=1, n_splits=1)
    np.testing.assert_array_equal(first, noise_ceiling(counts.astype(np.float32), positions, seed=1, n_splits=1))
    assert not np.array_equal(first, noise_ceiling(counts, positions, seed=2, n_splits=1))


def test_formula() -> None:
    np.testing.assert_allclose(ceiling_of([-0.4, 0.0, 0.5, 1.0]), [0, 0, np.sqrt(1 / 1.5), 1])


def test_unseen_gene_and_wrong_input() -> None:
    counts = np.random.default_rng(0).poisson(3, (30, 3))
    counts[:, 1] = 0
    assert np.isnan(noise_ceiling(counts, None)).tolist() == [False, True, False]
    with pytest.raises(ValueError, match=r"0\.5 is none"):
        noise_ceiling(np.full((4, 2), 0.5), None)
    with pytest.raises(ValueError, match="`n_splits` must be at least 1"):
        noise_ceiling(counts, None, n_splits=0)
