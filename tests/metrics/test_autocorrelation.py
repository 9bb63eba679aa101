"""Moran's I against a dense formula and squidpy, and what its ratio rewards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from phg2st_sc.metrics import morans_i, morans_i_ratio, neighbor_mean, neighbor_operator
from phg2st_sc.metrics._autocorrelation import neighbor_weights, standard_error


@pytest.fixture
def section(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Values of five genes at 80 % of the places of a lattice, and the places."""
    positions = np.argwhere(np.ones((15, 15))).astype(float)[rng.random(225) > 0.2]
    waves = np.sin(positions @ rng.normal(0, 0.4, (2, 5)))
    return waves + rng.normal(0, 0.7, waves.shape), positions


def test_is_the_dense_formula(section: tuple[np.ndarray, np.ndarray]) -> None:
    values, positions = section
    distance = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    near = ((distance <= 1.5) & (distance > 0)).astype(float)
    weights = near / np.maximum(near.sum(axis=1, keepdims=True), 1)
    z = values - values.mean(axis=0)
    expected = len(z) / weights.sum() * np.einsum("ig,ij,jg->g", z, weights, z) / (z**2).sum(axis=0)
    np.testing.assert_allclose(morans_i(values, positions), expected)


def test_is_squidpys(section: tuple[np.ndarray, np.ndarray]) -> None:
    sq = pytest.importorskip("squidpy")
    values, positions = section
    graph = neighbor_operator(positions)
    graph.setdiag(0)
    graph.eliminate_zeros()
    adata = AnnData(
        values, var=pd.DataFrame(index=list("abcde")), obsp={"spatial_connectivities": sparse.csr_matrix(graph)}
    )
    found = sq.gr.spatial_autocorr(adata, mode="moran", n_perms=None, copy=True, genes=list("abcde"))
    np.testing.assert_allclose(morans_i(values, positions), found.loc[list("abcde"), "I"], rtol=1e-6)


def test_without_structure(rng: np.random.Generator) -> None:
    positions = np.argwhere(np.ones((14, 14))).astype(float)
    values = rng.normal(size=(196, 3000))
    found = morans_i(values, positions)
    error = standard_error(neighbor_weights(neighbor_operator(positions)))
    assert found.mean() == pytest.approx(-1 / 195, abs=4 * error / np.sqrt(3000))
    assert found.std() == pytest.approx(error, rel=0.05)
    share = np.isfinite(morans_i_ratio(values, values, positions)).mean()
    assert share < 0.05  # genes of noise give no ratio


def test_smoothing_is_rewarded_wherever_the_map_is(section: tuple[np.ndarray, np.ndarray]) -> None:
    measured, positions = section
    smooth = neighbor_mean(measured, positions, radius=3)
    assert np.nanmin(morans_i_ratio(measured, smooth, positions)) > 1.2
    np.testing.assert_allclose(
        morans_i_ratio(measured, -smooth, positions), morans_i_ratio(measured, smooth, positions)
    )
    one = morans_i_ratio(measured, np.hypot(*positions.T), positions)  # one map for all genes
    assert np.nanmin(one) > 1


def test_constant_maps_and_lone_spots(section: tuple[np.ndarray, np.ndarray]) -> None:
    values, positions = section
    assert np.isnan(morans_i(np.full(len(values), 2.0), positions)).all()
    assert np.nanmax(morans_i_ratio(values, np.full(len(values), 2.0), positions)) == 0
    assert np.isnan(morans_i_ratio(np.ones_like(values), values, positions)).all()
    assert np.isnan(morans_i(values, 10 * positions)).all()
    assert np.isnan(morans_i_ratio(values, values, 10 * positions)).all()
    with pytest.raises(ValueError, match="`positions` over 3"):
        morans_i(values, positions[:3])
    with pytest.raises(ValueError, match="`positions` over 3"):
        morans_i_ratio(values, values, positions[:3])
