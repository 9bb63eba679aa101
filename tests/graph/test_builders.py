"""Hypergraph builders: known small answers, invariances, and the search against a plain one."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.spatial.distance import cdist

from phg2st_sc.graph import (
    BUILDERS,
    CombinedKNN,
    FeatureKNN,
    Given,
    HypergraphBuilder,
    PositionKNN,
    Radius,
    get_builder,
    register_builder,
)
from phg2st_sc.graph._hypergraph import edge_weights, scatter_blocks
from phg2st_sc.graph._nearest import rms_distance

LINE = np.array([[0.0, 0.0], [1.0, 0.0], [2.5, 0.0], [10.0, 0.0]])
ALL = [CombinedKNN(), PositionKNN(), FeatureKNN(), Radius()]


def members(hypergraph, spot: int) -> set[int]:
    return set(hypergraph.incidence[:, spot].nonzero()[0].tolist())


def plain_neighbors(distances: np.ndarray, k: int) -> list[set[int]]:
    np.fill_diagonal(distances, np.inf)
    return [set(np.argsort(row)[:k].tolist()) for row in distances]


def test_position_takes_the_nearest_not_the_farthest() -> None:
    hypergraph = PositionKNN(n_neighbors=1).build(LINE)
    assert [members(hypergraph, spot) for spot in range(4)] == [{0, 1}, {0, 1}, {1, 2}, {2, 3}]
    np.testing.assert_allclose(hypergraph.distances.toarray()[[0, 1, 2, 3], [1, 0, 1, 2]], [1, 1, 1.5, 7.5])


def test_weights_fall_with_distance_and_are_one_for_the_spot_itself() -> None:
    hypergraph = PositionKNN(n_neighbors=1).build(LINE)
    lengths = np.array([1, 1, 1.5, 7.5])
    np.testing.assert_allclose(hypergraph.incidence.diagonal(), 1.0)
    found = hypergraph.incidence.toarray()[[1, 0, 1, 2], [0, 1, 2, 3]]
    np.testing.assert_allclose(found, np.exp(-lengths / 1.25), rtol=1e-6)


def test_feature_takes_the_most_alike_wherever_it_is() -> None:
    features = np.array([[0.0], [5.0], [6.0], [0.5]])
    hypergraph = FeatureKNN(n_neighbors=1).build(LINE, features)
    assert [members(hypergraph, spot) for spot in range(4)] == [{0, 3}, {1, 2}, {1, 2}, {0, 3}]


def test_combined_adds_both_distances_in_units_of_their_rms() -> None:
    rng = np.random.default_rng(0)
    positions, features = rng.normal(size=(40, 2)), rng.normal(size=(40, 7)) * 50
    hypergraph = CombinedKNN(n_neighbors=3).build(positions, features)
    space, image = cdist(positions, positions), cdist(features, features)
    upper = np.triu_indices(40, 1)
    combined = sum(d / np.sqrt(np.mean(d[upper] ** 2)) for d in (space, image))
    expected = plain_neighbors(combined.copy(), 3)
    assert [members(hypergraph, spot) - {spot} for spot in range(40)] == expected
    rows, columns = hypergraph.distances.nonzero()
    np.testing.assert_allclose(hypergraph.distances[rows, columns].A1, combined[rows, columns], rtol=2e-5)


def test_combined_does_not_depend_on_the_units_of_either() -> None:
    rng = np.random.default_rng(1)
    positions, features = rng.normal(size=(30, 2)), rng.normal(size=(30, 5))
    first = CombinedKNN().build(positions, features)
    second = CombinedKNN().build(positions * 300 + 1e4, features * 1e-3)
    np.testing.assert_allclose(first.incidence.toarray(), second.incidence.toarray(), atol=1e-5)


def test_combined_without_features_is_position() -> None:
    rng = np.random.default_rng(2)
    positions = rng.normal(size=(30, 2))
    plain, combined = PositionKNN().build(positions), CombinedKNN().build(positions)
    np.testing.assert_allclose(plain.incidence.toarray(), combined.incidence.toarray(), atol=1e-6)
    assert combined.params["with_features"] is False


def test_radius_takes_all_within_it_and_nothing_beyond() -> None:
    x, y = np.meshgrid(np.arange(4.0), np.arange(4.0))
    positions = np.stack([x.ravel(), y.ravel()], axis=1)
    assert members(Radius(1.0).build(positions), 5) == {5, 1, 4, 6, 9}
    assert len(members(Radius(1.5).build(positions), 5)) == 9
    assert len(members(Radius(0.5).build(positions), 5)) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 10_000), st.booleans())
def test_every_hyperedge_has_its_spot_and_its_nearest(n: int, k: int, seed: int, on_lattice: bool) -> None:
    rng = np.random.default_rng(seed)
    positions = rng.integers(0, 5, (n, 2)).astype(float) if on_lattice else rng.normal(size=(n, 2))
    hypergraph = PositionKNN(n_neighbors=k).build(positions)
    sizes = np.diff(hypergraph.incidence.tocsc().indptr)
    assert (sizes == min(k, n - 1) + 1).all()
    lengths = cdist(positions, positions)
    chosen = hypergraph.incidence.toarray().T > 0
    for spot in range(n):
        inside, outside = lengths[spot][chosen[spot]], lengths[spot][~chosen[spot]]
        assert not outside.size or inside.max() <= outside.min() + 1e-9


@pytest.mark.parametrize("builder", ALL, ids=lambda builder: builder.name)
@pytest.mark.parametrize("kind", ["random", "lattice", "twice"])
def test_the_order_of_the_spots_plays_no_part(builder: HypergraphBuilder, kind: str) -> None:
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.arange(9.0), np.arange(7.0))
    positions = np.stack([x.ravel(), y.ravel()], axis=1)
    if kind == "random":
        positions = rng.normal(size=positions.shape)
    elif kind == "twice" and builder.uses_features:  # else two spots in one place cannot be told apart
        positions[30:] = positions[:33]
    features = np.round(rng.normal(size=(63, 3)), 1 if kind == "lattice" else 6)
    shuffle = rng.permutation(63)
    first, second = builder.build(positions, features), builder.build(positions[shuffle], features[shuffle])
    np.testing.assert_array_equal(first.incidence.toarray()[np.ix_(shuffle, shuffle)], second.incidence.toarray())
    np.testing.assert_array_equal(first.distances.toarray()[np.ix_(shuffle, shuffle)], second.distances.toarray())


def test_close_features_far_from_the_origin_are_told_apart() -> None:
    rng = np.random.default_rng(4)
    features = (1e4 + rng.normal(size=(60, 8)) * 0.5).astype(np.float32)
    hypergraph = FeatureKNN(n_neighbors=4).build(rng.normal(size=(60, 2)), features)
    expected = plain_neighbors(cdist(features.astype(float), features.astype(float)), 4)
    assert [members(hypergraph, spot) - {spot} for spot in range(60)] == expected


def test_no_array_of_all_pairs_is_held() -> None:
    rng = np.random.default_rng(10)
    n = 6000
    positions, features = rng.normal(size=(n, 2)), rng.normal(size=(n, 8))
    tracemalloc.start()
    try:
        hypergraph = CombinedKNN().build(positions, features)
        graph = hypergraph.connectivities
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * n * n
    assert graph.nnz <= 20 * n


def test_rms_distance_is_that_of_all_pairs() -> None:
    values = np.random.default_rng(6).normal(size=(25, 4)) + 1e3
    lengths = cdist(values, values)[np.triu_indices(25, 1)]
    assert rms_distance(values) == pytest.approx(np.sqrt(np.mean(lengths**2)))
    assert rms_distance(values[:1]) == 0.0


def test_degenerate_slides() -> None:
    one = CombinedKNN().build(np.zeros((1, 2)), np.ones((1, 3)))
    np.testing.assert_array_equal(one.incidence.toarray(), [[1.0]])
    assert one.connectivities.nnz == one.distances.nnz == 0
    same = CombinedKNN(n_neighbors=2).build(np.zeros((4, 2)), np.ones((4, 3)))
    np.testing.assert_array_equal(same.incidence.data, np.ones(12))


def test_weights_where_most_distances_are_zero_stay_finite() -> None:
    np.testing.assert_array_equal(edge_weights(np.array([0.0, 0.0, 0.0, 3.0])), [1, 1, 1, 0])
    assert edge_weights(np.zeros(0)).size == 0


def test_connectivities_are_symmetric_without_diagonal_and_known() -> None:
    path = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 3.0, 0.0]])
    graph = Given(incidence=path).build(LINE[:3]).connectivities.toarray()
    np.testing.assert_allclose(graph, [[0, 0.5, 0], [0.5, 0, 0.75], [0, 0.75, 0]])


def test_given_adjacency_opens_a_hyperedge_of_the_neighbors() -> None:
    graph = sparse.csr_matrix(np.array([[0, 2.0, 0], [0, 0, 0], [0, 0, 7.0]]))
    found = Given(adjacency=graph).build(LINE[:3]).incidence.toarray()
    np.testing.assert_array_equal(found, [[1, 0, 0], [2, 1, 0], [0, 0, 1]])
    assert graph[2, 2] == 7.0


def test_given_widens_and_leaves_the_given_matrix_alone() -> None:
    incidence = sparse.csr_matrix(np.array([[1.0], [0.0], [2.0], [0.0]]))
    hypergraph = Given(incidence=incidence).build(LINE)
    assert hypergraph.incidence.shape == (4, 4)
    assert incidence.shape == (4, 1)
    assert hypergraph.distances[0, 2] == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        ({"incidence": np.ones((3, 2))}, "needs 4 rows"),
        ({"incidence": np.ones((4, 5))}, "no more columns"),
        ({"incidence": -np.ones((4, 4))}, "negative"),
        ({"adjacency": np.full((4, 4), np.nan)}, "NaN"),
        ({"adjacency": np.ones((4, 2))}, r"need \(4, 4\)"),
    ],
)
def test_given_refuses_what_does_not_fit(matrix, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Given(**matrix).build(LINE)


def test_given_needs_one_matrix() -> None:
    with pytest.raises(ValueError, match="either"):
        Given()
    with pytest.raises(ValueError, match="either"):
        Given(incidence=np.eye(2), adjacency=np.eye(2))


def test_errors_name_the_value() -> None:
    with pytest.raises(ValueError, match="no builder 'nearest'.*'combined'.*or an object such as `Given"):
        get_builder("nearest")
    with pytest.raises(ValueError, match=r"does not take \['radius'\]"):
        get_builder("position", radius=2.0)
    with pytest.raises(ValueError, match="has its own settings"):
        get_builder(PositionKNN(), n_neighbors=3)
    with pytest.raises(TypeError, match="got int"):
        get_builder(3)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        PositionKNN(n_neighbors=0)
    with pytest.raises(ValueError, match="above 0, got -1"):
        Radius(-1)
    with pytest.raises(ValueError, match="finite"):
        PositionKNN().build(np.array([[0.0, np.nan]]))
    with pytest.raises(ValueError, match=r"\(4, d\).*\(3, 2\)"):
        CombinedKNN().build(LINE, np.ones((3, 2)))
    with pytest.raises(ValueError, match="needs features"):
        FeatureKNN().build(LINE)


def test_a_builder_is_added_by_one_registration() -> None:
    @register_builder("alone")
    @dataclass(frozen=True)
    class Alone(PositionKNN):
        n_neighbors: int = 1

    try:
        assert get_builder("alone").describe()["builder"] == "alone"
        assert BUILDERS["position"].name == "position"
    finally:
        del BUILDERS["alone"]


def test_blocks_land_on_their_rows() -> None:
    out = scatter_blocks(
        [(np.array([0, 2]), sparse.csr_matrix([[1.0, 2], [3, 4]])), (np.array([1]), sparse.csr_matrix([[5.0]]))], 4
    )
    np.testing.assert_array_equal(out.toarray(), [[1, 0, 2, 0], [0, 5, 0, 0], [3, 0, 4, 0], [0, 0, 0, 0]])
