"""Features propagated over a hypergraph, against dense algebra and known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from phg2st_sc._arrays import SlideArrays
from phg2st_sc.models.phg2st import propagated
from phg2st_sc.models.phg2st.propagated import (
    BOTH,
    Looks,
    autocorrelation,
    propagate,
    propagated_components,
    spot_incidence,
)


@pytest.fixture
def incidence(rng):
    dense = (rng.uniform(size=(9, 6)) < 0.4).astype(float) * rng.uniform(0.5, 2.0, size=(9, 6))
    dense[4] = 0.0  # in no hyperedge
    dense[:, 5] = 0.0  # a hyperedge without spots
    dense[[0, 1, 2, 3, 5, 6, 7, 8], [0, 1, 2, 3, 4, 0, 1, 2]] = 1.0
    return sparse.csr_matrix(dense)


def test_propagation_equals_the_dense_formula(incidence, rng):
    values = rng.normal(size=(9, 3))
    h = incidence.toarray()
    expected = np.empty_like(values)
    for spot in range(9):
        edges = np.flatnonzero(h[spot])
        means = [h[:, e] @ values / h[:, e].sum() for e in edges]
        expected[spot] = np.average(means, axis=0, weights=h[spot, edges]) if len(edges) else values[spot]
    np.testing.assert_allclose(propagate(incidence, values), expected, rtol=1e-12)


def test_constants_stay_and_a_lone_spot_keeps_its_own(incidence, rng):
    np.testing.assert_allclose(propagate(incidence, np.full((9, 2), 3.5)), 3.5, rtol=1e-12)
    values = rng.normal(size=(9, 2))
    np.testing.assert_array_equal(propagate(incidence, values)[4], values[4])
    np.testing.assert_array_equal(propagate(sparse.identity(9, format="csr"), values), values)


def test_the_hypergraph_that_comes_with_a_slide_is_used(incidence, rng):
    features = rng.normal(size=(9, 4)).astype(np.float32)
    slide = SlideArrays("a", rng.normal(size=(9, 2)), features, incidence=incidence)
    own = (features - features.mean(0)) / features.std(0)
    both = np.hstack([own, propagate(incidence, own)])
    np.testing.assert_allclose(Looks(slide, "m").of(BOTH)[:], both, rtol=1e-4, atol=1e-5)
    assert spot_incidence(SlideArrays("a", slide.positions)).shape == (9, 9)
    assert spot_incidence(SlideArrays("a", np.zeros((1, 2)))).toarray().tolist() == [[1.0]]


def test_looks_are_propagated_a_few_features_at_a_time(tissue, fields, monkeypatch):
    features = fields(tissue, 5, 2).astype(np.float32)
    slide = SlideArrays("a", tissue, features)
    own = (features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)) / features.std(
        axis=0, dtype=np.float64
    )
    around = propagate(spot_incidence(slide), own)
    both = np.hstack([own, around])
    centered = np.hstack([own, around]) - np.hstack([own, around]).mean(axis=0)
    components = centered @ np.linalg.eigh(centered.T @ centered)[1][:, ::-1]
    expected = components * np.sqrt(autocorrelation(tissue, components))
    monkeypatch.setattr(propagated, "_FEW_FEATURES", 2)
    monkeypatch.setattr(propagated, "_FEW_PAIRS", 100)
    looks = Looks(slide, "m")
    np.testing.assert_allclose(looks.of(BOTH)[40:60], both[40:60], rtol=1e-4, atol=1e-5)
    assert looks.around.dtype == np.float32
    np.testing.assert_allclose(np.abs(propagated_components(looks)), np.abs(expected), rtol=1e-3, atol=1e-4)


def test_directions_of_many_spots_are_found_from_some(tissue, fields, rng, monkeypatch):
    features = (fields(tissue, 3, 2) @ rng.normal(size=(3, 8)) + 0.2 * rng.normal(size=(len(tissue), 8))).astype(
        np.float32
    )
    looks = Looks(SlideArrays("a", tissue, features), "m")
    from_all = propagated_components(looks)[:, :3]
    monkeypatch.setattr(propagated, "_MAX_SPOTS", 60)
    monkeypatch.setattr(propagated, "_FEW_SPOTS", 25)
    from_some = propagated_components(looks)[:, :3]
    np.testing.assert_array_equal(from_some, propagated_components(looks)[:, :3])
    left = from_all - from_some @ np.linalg.lstsq(from_some, from_all, rcond=None)[0]
    assert (left**2).sum() < 0.05 * (from_all**2).sum()


def test_the_hypergraph_of_a_slide_is_built_once(tissue):
    slide = SlideArrays("a", tissue)
    assert spot_incidence(slide) is spot_incidence(slide)


def test_autocorrelation_of_known_fields():
    line = np.stack([np.arange(40.0), np.zeros(40)], axis=1)
    alternating = np.where(np.arange(40) % 2, 1.0, -1.0)
    blocks = np.where(np.arange(40) < 20, 1.0, -1.0)
    found = autocorrelation(line, np.stack([alternating, blocks, np.zeros(40)], axis=1))
    assert found[0] == 0.0  # neighbours are opposites: cut off at 0
    assert found[1] == pytest.approx(37 / 39)  # 38 of 39 pairs agree, one does not
    assert found[2] == 0.0
    np.testing.assert_array_equal(autocorrelation(10 * line, blocks[:, None]), [1.0])  # nobody has a neighbour


def test_components_keep_what_neighbors_share(tissue, fields, rng):
    shared, own = fields(tissue, 1, 3), rng.normal(size=(len(tissue), 1))
    features = np.hstack([shared @ rng.normal(size=(1, 6)), own @ rng.normal(size=(1, 6))]).astype(np.float32)
    components = propagated_components(Looks(SlideArrays("a", tissue, features), "m"))

    def explained(truth):
        fit = components @ np.linalg.lstsq(components, truth, rcond=1e-8)[0]
        return float((components**2).sum()), float(np.corrcoef(fit.ravel(), truth.ravel())[0, 1])

    assert explained(shared)[1] > 0.95
    # what jumps from spot to spot weighs less in the distances of spots
    distance = np.linalg.norm(components[:, None] - components[None], axis=2)[np.triu_indices(len(tissue), 1)]
    by_shared = np.abs(shared - shared.T)[np.triu_indices(len(tissue), 1)]
    by_own = np.abs(own - own.T)[np.triu_indices(len(tissue), 1)]
    assert np.corrcoef(distance, by_shared)[0, 1] > np.corrcoef(distance, by_own)[0, 1] + 0.3


def test_components_of_few_spots_are_those_of_their_features(tissue, fields, rng):
    """With more features than spots the products of the spots are taken; they are the same components."""
    features = np.hstack([fields(tissue, 5, 2), rng.normal(size=(len(tissue), len(tissue)))])
    looks = Looks(SlideArrays("a", tissue, features.astype(np.float32)), "m")
    both = propagated._SideBySide(looks.own, looks.around)
    mean = both[:].mean(axis=0)
    of_spots, of_features = (make(both, mean, 40) for make in (propagated._of_spots, propagated._of_features))
    np.testing.assert_allclose(
        of_spots @ of_spots.T, of_features @ of_features.T, rtol=0, atol=1e-9 * np.abs(of_spots).max() ** 2
    )
    assert propagated_components(looks).shape == (len(tissue), 40)


def test_blocks_of_columns_have_the_same_say(tissue, fields, rng):
    """A thousand columns of one encoder beside three of another: the three are seen, and one block alone stays as it is."""
    few, many = fields(tissue, 3, 2)[:, :3], rng.normal(size=(len(tissue), 300))
    many[:, 0] = 1.0  # constants count for nothing
    features = np.hstack([few, many]).astype(np.float32)

    def looks(**record):
        return Looks(SlideArrays("a", tissue, features, record), "m")

    weighted = looks(blocks=[3, 300])
    for view, parts in (("own", 2), ("surroundings", 2), ("both", 4)):
        variance = weighted.standardized(view)[:].var(axis=0)
        blocks = np.split(variance, np.cumsum([3, 300] * (parts // 2))[:-1])
        np.testing.assert_allclose([one.sum() for one in blocks], variance.sum() / parts, rtol=1e-5)
        np.testing.assert_allclose(variance.sum(), looks().standardized(view)[:].var(axis=0).sum(), rtol=1e-5)
    np.testing.assert_array_equal(looks(blocks=[303]).own[:], looks().own[:])
    np.testing.assert_array_equal(looks(blocks=[3, 200]).own[:], looks().own[:])  # columns were taken away since

    def seen(one):
        target = (few - few.mean(0)) / few.std(0)
        made = propagated_components(one)[:, :6]
        return 1 - (target - made @ np.linalg.lstsq(made, target, rcond=None)[0]).var() / target.var()

    assert seen(looks(blocks=[3, 300])) > 0.8 > seen(looks()) + 0.2
