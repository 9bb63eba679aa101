"""What every encoder, hypergraph builder, prompt strategy and further score must do, found by their registries."""

from __future__ import annotations

import json

import numpy as np
import pytest

from phg2st_sc import metrics, prompts
from phg2st_sc.encoders import get_encoder, list_encoders
from phg2st_sc.graph import BUILDERS, get_builder
from phg2st_sc.metrics import score_section

OFFLINE = [card.name for card in list_encoders() if not card.needs_weights]
every_builder = pytest.mark.parametrize("name", list(BUILDERS))
every_strategy = pytest.mark.parametrize("name", list(prompts.STRATEGIES))
every_extra = pytest.mark.parametrize("name", list(metrics.EXTRAS))


@pytest.fixture
def spots(rng):
    """Places of 63 spots, no two distances alike, and their features."""
    return rng.normal(size=(63, 2)) * 3, rng.normal(size=(63, 5))


@pytest.mark.parametrize("name", OFFLINE)
def test_an_encoder_sees_one_tile_at_a_time(name, rng):
    encoder = get_encoder(name)
    side = encoder.card.input_px
    tiles = rng.integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    features = encoder(tiles)
    assert features.shape == (3, encoder.card.dim)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(encoder(tiles[[2, 0]]), features[[2, 0]])


@every_builder
def test_a_builder_opens_one_hyperedge_a_spot(name, spots):
    hypergraph = get_builder(name).build(*spots)
    assert hypergraph.incidence.shape == hypergraph.distances.shape == (63, 63)
    np.testing.assert_array_equal(hypergraph.incidence.diagonal(), np.ones(63))
    weights, lengths = hypergraph.incidence.data, hypergraph.distances.data
    assert (np.isfinite(weights) & (weights > 0)).all()
    assert (np.isfinite(lengths) & (lengths >= 0)).all()
    np.testing.assert_array_equal(hypergraph.distances.diagonal(), np.zeros(63))


@every_builder
def test_a_builder_says_how_it_was_set(name, spots):
    params = get_builder(name).build(*spots).params
    assert params["builder"] == name
    assert json.loads(json.dumps(dict(params))) == params


@every_builder
def test_a_builder_knows_no_order_of_spots(name, spots, rng):
    builder, order = get_builder(name), rng.permutation(63)
    first, second = builder.build(*spots), builder.build(*(part[order] for part in spots))
    np.testing.assert_array_equal(first.incidence.toarray()[np.ix_(order, order)], second.incidence.toarray())


@every_strategy
@pytest.mark.parametrize("n", [1, 9, 62])
def test_a_strategy_draws_as_many_as_asked_for(name, spots, n):
    masks = [prompts.sample_mask(spots[0], n, name, np.random.default_rng(7)) for _ in range(2)]
    assert masks[0].sum() == n
    np.testing.assert_array_equal(*masks)


@every_strategy
def test_a_strategy_knows_no_unit(name, spots):
    near, far = (prompts.sample_mask(spots[0] * by, 20, name, np.random.default_rng(3)) for by in (1.0, 256.0))
    np.testing.assert_array_equal(near, far)


@pytest.fixture(scope="module")
def scored():
    """Counts of 12 genes on 10 x 10 places, and their true expression."""
    rng = np.random.default_rng(0)
    positions = np.argwhere(np.ones((10, 10))).astype(float)
    rate = np.exp(np.sin(positions @ rng.normal(0, 0.4, (2, 12))))
    rate /= rate.sum(axis=1, keepdims=True)
    counts = rng.poisson(800 * rate)
    return counts, counts.sum(axis=1), positions, np.log1p(1e4 * rate)


@every_extra
def test_a_further_score_changes_no_other(name, scored):
    plain, more = (score_section(*scored, 1e4, extra=extra) for extra in ((), name))
    assert more[list(plain.columns)].equals(plain)
    new = more.columns.difference(plain.columns)
    assert len(new) or more.attrs["summary"]
    assert np.isfinite(more[new].to_numpy()).all()


@every_extra
def test_a_further_score_knows_no_order_of_spots(name, scored):
    counts, totals, positions, truth = scored
    order = np.random.default_rng(1).permutation(len(counts))
    again = (counts[order], totals[order], positions[order], truth[order])
    # halves of counts are drawn spot by spot
    first, second = (score_section(*one, 1e4, extra=name, n_splits=0) for one in (scored, again))
    columns = [column for column in first.columns.drop("gene") if first[column].notna().all()]
    np.testing.assert_allclose(first[columns].to_numpy(), second[columns].to_numpy(), rtol=1e-6, atol=1e-9)
