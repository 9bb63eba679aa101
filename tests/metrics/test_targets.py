"""Targets: known small answers, scanpy's residuals, and what must not move them."""

from __future__ import annotations

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from phg2st_sc.metrics import (
    depth_free_target,
    lognorm_target,
    neighbor_mean,
    pcc,
    pearson_residuals,
    predicted_rate,
    predicted_share,
    share_target,
)


@pytest.fixture
def counts(rng: np.random.Generator) -> np.ndarray:
    depth = rng.gamma(4.0, 1.0, (90, 1))
    return rng.poisson(depth * rng.gamma(1.0, 3.0, 25)).astype(np.float32)


def test_residual_by_hand() -> None:
    # totals 10 and 30, gene A has 12 of 40 counts: mu = 3 and 9
    residuals = pearson_residuals(np.array([[6, 4], [6, 24]]), theta=100, clip=np.inf)
    np.testing.assert_allclose(residuals[:, 0], [3 / np.sqrt(3 + 0.09), -3 / np.sqrt(9 + 0.81)])


def test_residuals_are_scanpys(counts: np.ndarray) -> None:
    sc = pytest.importorskip("scanpy")
    adata = AnnData(counts.astype(np.float64))
    sc.experimental.pp.normalize_pearson_residuals(adata, theta=100)
    np.testing.assert_allclose(pearson_residuals(counts), adata.X, rtol=1e-10, atol=1e-12)


def test_residuals_are_clipped_at_root_n() -> None:
    counts = np.ones((100, 2))
    counts[0] = [1e5, 1.0]
    counts[1:, 0] = 0
    assert pearson_residuals(counts, theta=np.inf).max() == 10.0


def test_genes_of_a_panel_need_the_panel_depth(counts: np.ndarray) -> None:
    whole = pearson_residuals(counts)
    np.testing.assert_allclose(pearson_residuals(counts[:, :5], depths=counts.sum(axis=1)), whole[:, :5], rtol=1e-6)
    assert not np.allclose(pearson_residuals(counts[:, :5]), whole[:, :5])


def test_sparse_and_dense_agree(counts: np.ndarray) -> None:
    for matrix in (sparse.csr_matrix(counts), sparse.csc_array(counts)):
        np.testing.assert_array_equal(pearson_residuals(matrix), pearson_residuals(counts))
        np.testing.assert_array_equal(
            lognorm_target(matrix, counts.sum(axis=1), target_sum=1e4),
            lognorm_target(counts, counts.sum(axis=1), target_sum=1e4),
        )


def test_empty_spots_and_genes_have_residual_zero() -> None:
    counts = np.array([[0, 0, 0], [2, 0, 6], [5, 0, 5]])
    residuals = pearson_residuals(counts)
    assert np.isfinite(residuals).all()
    assert (residuals[0] == 0).all()
    assert (residuals[:, 1] == 0).all()


def test_neighbors_are_the_eight_of_a_square_and_the_six_of_a_hexagonal_lattice() -> None:
    square = np.argwhere(np.ones((5, 5))).astype(float)
    one = np.eye(25)
    reach = neighbor_mean(one, square)
    assert (reach[12] > 0).sum() == 9
    assert (reach[0] > 0).sum() == 4
    np.testing.assert_allclose(reach.sum(axis=1), 1.0)
    row, column = np.divmod(np.arange(49), 7)
    hexagonal = np.stack([column + 0.5 * (row % 2), row * np.sqrt(3) / 2], axis=1)
    assert (neighbor_mean(np.eye(49), hexagonal)[24] > 0).sum() == 7


def test_nothing_outside_the_given_spots_is_averaged(rng: np.random.Generator) -> None:
    positions = np.argwhere(np.ones((6, 6))).astype(float)
    values = rng.normal(size=(36, 3))
    heldout = rng.random(36) > 0.3
    changed = values.copy()
    changed[~heldout] = 1e9
    np.testing.assert_array_equal(
        neighbor_mean(values[heldout], positions[heldout]), neighbor_mean(changed[heldout], positions[heldout])
    )
    by_hand = [
        values[heldout][np.linalg.norm(positions[heldout] - p, axis=1) <= 1.5].mean(axis=0) for p in positions[heldout]
    ]
    np.testing.assert_allclose(neighbor_mean(values[heldout], positions[heldout]), by_hand)


def test_depth_hardly_moves_the_depth_free_target(rng: np.random.Generator) -> None:
    positions = np.argwhere(np.ones((20, 20))).astype(float)
    share = rng.dirichlet(np.ones(40), 400)
    deep = rng.poisson(2000 * share)
    thinned = deep.copy()
    thinned[::3] = rng.binomial(deep[::3], 0.5)  # every third spot sequenced half as deeply
    log_depth = np.log(thinned.sum(axis=1))
    assert abs(np.nanmean(pcc(depth_free_target(thinned, positions), log_depth))) < 0.02
    agreement = pcc(depth_free_target(deep, positions), depth_free_target(thinned, positions))
    assert np.nanmin(agreement) > 0.95


def test_lognorm_target_is_dominated_by_depth(rng: np.random.Generator) -> None:
    depth = rng.gamma(2.0, 300.0, (400, 1)) + 20
    counts = rng.poisson(depth * rng.dirichlet(np.ones(200) * 3))
    log_depth = np.log(counts.sum(axis=1))
    lognorm = np.nanmean(pcc(lognorm_target(counts, counts.sum(axis=1), target_sum=1e4), log_depth))
    free = np.nanmean(pcc(depth_free_target(counts, None), log_depth))
    assert lognorm > 0.15
    assert abs(free) < 0.02


def test_shares_are_pooled_before_the_ratio() -> None:
    counts, totals = np.array([[1.0], [9.0]]), np.array([10.0, 10.0])
    pooled = share_target(counts, totals, np.array([[0, 0], [1, 0]]))
    np.testing.assert_allclose(pooled, np.log1p(1e4 * 10 / 20))
    np.testing.assert_allclose(share_target(counts, totals, None)[:, 0], np.log1p([1e3, 9e3]))


def test_prediction_comes_back_to_shares() -> None:
    rate = np.array([[1e-4, 0.02]])
    prediction = np.log1p(5000 * rate)
    np.testing.assert_allclose(predicted_rate(prediction, 5000), rate)
    np.testing.assert_allclose(predicted_share(prediction, 5000), np.log1p(1e4 * rate))
    assert predicted_share(np.array([[-0.5]]), 5000) == 0
    assert predicted_share(prediction.astype(np.float32), 5000).dtype == np.float32


def test_clear_errors(counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="`theta` must be positive"):
        pearson_residuals(counts, theta=0)
    with pytest.raises(ValueError, match=r"`depths` must hold .* 90 spots"):
        pearson_residuals(counts, depths=np.ones(3))
    with pytest.raises(ValueError, match=r"`totals` must hold"):
        lognorm_target(counts, -np.ones(90), target_sum=1.0)
    with pytest.raises(ValueError, match="`target_sum` must be a positive number, not 0"):
        lognorm_target(counts, np.ones(90), target_sum=0)
    with pytest.raises(ValueError, match=r"over 90 spots, `positions` over 3"):
        neighbor_mean(counts, np.zeros((3, 2)))
    with pytest.raises(ValueError, match="finite"):
        neighbor_mean([1.0], [[np.nan, 0]])
