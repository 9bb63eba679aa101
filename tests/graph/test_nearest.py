"""Nearest points: by all pairs, by a tree and by an index the same ones, and what was missed is told."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from phg2st_sc.graph import CombinedKNN, FeatureKNN, PositionKNN, nearest
from phg2st_sc.graph import _nearest as room
from phg2st_sc.graph._nearest import nearest_spots, rms_distance


def smooth(positions: np.ndarray, d: int, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    maps = np.sin(positions @ rng.normal(size=(2, 12)) * 0.3) @ rng.normal(size=(12, d))
    return maps + 0.5 * rng.normal(size=maps.shape)


@pytest.fixture(scope="module")
def terms() -> list[np.ndarray]:
    positions = np.random.default_rng(4).uniform(0, 40, (1500, 2))
    features = smooth(positions, 200)
    return [positions / rms_distance(positions), features / rms_distance(features)]


@pytest.mark.parametrize(
    "which",
    [pytest.param(slice(0, 2), marks=pytest.mark.slow, id="combined"), pytest.param(slice(1, 2), id="feature")],
)
def test_the_index_finds_what_comparing_all_pairs_finds(terms: list[np.ndarray], which: slice) -> None:
    exact, found = nearest_spots(terms[which], 4), nearest_spots(terms[which], 4, exact_up_to=100)
    assert (exact.search, exact.recall, exact.exact) == ("all pairs", 1.0, True)
    assert (found.search, found.exact) == ("index", False)
    same = np.mean(exact.index == found.index)
    assert same > 0.995
    assert found.recall == pytest.approx(same, abs=0.002)
    again = nearest_spots(terms[which], 4, exact_up_to=100)
    np.testing.assert_array_equal(found.index, again.index)
    np.testing.assert_array_equal(found.distance, again.distance)


def test_a_tree_gives_the_bits_of_all_pairs_on_a_lattice_too(terms: list[np.ndarray]) -> None:
    lattice = np.argwhere(np.ones((30, 40))).astype(float)
    for positions in (terms[0], lattice):
        exact, found = nearest_spots([positions], 6), nearest_spots([positions], 6, exact_up_to=100)
        assert (found.search, found.recall) == ("tree", 1.0)
        np.testing.assert_array_equal(found.index, exact.index)
        np.testing.assert_array_equal(found.distance, exact.distance)


def test_hundreds_of_equal_rows_are_each_others_nearest() -> None:
    rng = np.random.default_rng(6)
    features = smooth(rng.uniform(0, 40, (1200, 2)), 8)
    features[300:900] = features[300]
    found = nearest_spots([features], 4, exact_up_to=100)
    assert (found.index != np.arange(1200)[:, None]).all()
    assert (found.distance[300:900] == 0).all()
    assert found.recall > 0.99


@pytest.mark.parametrize(("d", "search"), [(2, "tree"), (12, "index")])
def test_nearest_of_queries(monkeypatch: pytest.MonkeyPatch, d: int, search: str) -> None:
    positions = np.random.default_rng(7).uniform(0, 40, (1700, 2))
    values = smooth(positions, d)
    points, queries = values[:1300], values[1300:]
    exact = nearest(points, queries, 5)
    assert exact.search == "all pairs"
    plain = np.argsort(cdist(queries, points), axis=1)[:, :5]
    np.testing.assert_array_equal(exact.index, plain)
    np.testing.assert_allclose(exact.distance, np.sort(cdist(queries, points), axis=1)[:, :5])
    monkeypatch.setattr(room, "_FEW_POINTS", 10)
    monkeypatch.setattr(room, "EXACT_UP_TO", 10)
    found = nearest(points, queries, 5, seed=1)
    assert found.search == search
    assert np.mean(found.index == plain) > 0.99
    np.testing.assert_array_equal(found.index, nearest(points, queries, 5, seed=1).index)


def test_nearest_of_the_points_themselves_leaves_each_out() -> None:
    points = np.array([[0.0, 0, 0, 0], [1, 0, 0, 0], [5, 0, 0, 0]])
    found = nearest(points, None, 9)
    assert found.index.tolist() == [[1, 2], [0, 2], [1, 0]]
    assert nearest(points[:1], None, 3).index.shape == (1, 0)


def test_a_search_that_misses_neighbors_is_widened_recorded_and_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    positions, features = rng.uniform(0, 40, (600, 2)), rng.normal(size=(600, 5))
    widths = []

    class Poor:
        def __init__(self, points, *, n_candidates: int, seed: int) -> None:
            widths.append(n_candidates)

        def of_points(self) -> np.ndarray:
            return np.random.default_rng(0).integers(0, 600, (600, 40))

    monkeypatch.setattr(room, "Index", Poor)
    with pytest.warns(UserWarning, match=r"builder='feature' found .*% on a slide of 600 spots.*exact_up_to=600"):
        poor = FeatureKNN(exact_up_to=100).build(positions, features)
    assert widths == [20, 40, 80]
    assert poor.params["search"] == "index"
    assert 0 < poor.params["recall"] < 0.5


def test_how_it_was_searched_is_in_the_record() -> None:
    rng = np.random.default_rng(9)
    positions, features = rng.uniform(0, 40, (600, 2)), rng.normal(size=(600, 5))
    exact = CombinedKNN().build(positions, features).params
    assert (exact["search"], exact["recall"]) == ("all pairs", 1.0)
    assert PositionKNN(exact_up_to=100).build(positions).params["search"] == "tree"
