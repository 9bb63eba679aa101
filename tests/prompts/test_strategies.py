import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from phg2st_sc.prompts import STRATEGIES, nested_masks, register_strategy, sample_mask

NAMES = ["random", "poisson", "grid", "squares", "block"]


def lattice(nx, ny, hexagonal=False, pitch=137.0):
    grid = np.argwhere(np.ones((nx, ny))).astype(float)
    if hexagonal:
        grid = np.c_[grid[:, 0] + 0.5 * (grid[:, 1] % 2), grid[:, 1] * np.sqrt(3) / 2]
    return grid * pitch + 1000.0


def tissue(seed=0):
    """A disc of noisy lattice spots with a hole."""
    positions = lattice(30, 30, pitch=1.0) - 1000.0 - 14.5
    radius = np.linalg.norm(positions, axis=1)
    positions = positions[(radius < 14) & (radius > 3)]
    return positions + np.random.default_rng(seed).normal(0, 0.02, positions.shape)


def gap(positions):
    return cKDTree(positions).query(positions, k=2)[0][:, 1]


def test_registered_strategies():
    assert set(NAMES) <= set(STRATEGIES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_exact_number_and_same_seed_same_mask(name, data):
    nx, ny = data.draw(st.integers(2, 12)), data.draw(st.integers(1, 12))
    positions = lattice(nx, ny, hexagonal=data.draw(st.booleans()))
    n = data.draw(st.integers(1, len(positions)))
    seed = data.draw(st.integers(0, 2**32))
    mask = sample_mask(positions, n, name, np.random.default_rng(seed))
    assert mask.dtype == bool
    assert mask.sum() == n
    np.testing.assert_array_equal(mask, sample_mask(positions, n, name, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None)
@given(
    points=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30),
    seed=st.integers(0, 999),
    data=st.data(),
)
def test_exact_number_where_spots_share_a_place_or_lie_on_a_line(name, points, seed, data):
    positions = np.array(points, dtype=float)
    n = data.draw(st.integers(1, len(positions)))
    assert sample_mask(positions, n, name, np.random.default_rng(seed)).sum() == n


@pytest.mark.parametrize("name", NAMES)
def test_other_seed_other_mask(name):
    draws = {sample_mask(tissue(), 60, name, np.random.default_rng(seed)).tobytes() for seed in range(6)}
    assert len(draws) > 3


@pytest.mark.parametrize("name", NAMES)
def test_unit_and_origin_do_not_matter(name):
    positions = lattice(15, 17, pitch=1.0) - 1000.0
    near = sample_mask(positions, 25, name, np.random.default_rng(3))
    far = sample_mask(positions * 256.0 + 4096.0, 25, name, np.random.default_rng(3))
    np.testing.assert_array_equal(near, far)


@pytest.mark.parametrize("seed", range(5))
def test_spread(seed):
    positions = tissue()

    def drawn(name):
        return positions[sample_mask(positions, 50, name, np.random.default_rng(seed))]

    # the disc holds 50 spots about 3.3 pitches apart
    assert gap(drawn("poisson")).min() > 1.9
    assert gap(drawn("random")).min() < 1.9
    assert np.median(gap(drawn("grid"))) > 2.5
    assert np.median(gap(drawn("squares"))) < 1.2
    assert gap(drawn("block")).max() < 1.2
    assert np.ptp(drawn("block"), axis=0).max() < 0.7 * np.ptp(drawn("random"), axis=0).max()
    assert pdist(drawn("block")).mean() < 0.6 * pdist(drawn("squares")).mean()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["poisson", "grid", "squares"])
def test_scattered_strategies_leave_no_large_hole(name, seed):
    positions = tissue()

    def hole(strategy):
        chosen = positions[sample_mask(positions, 50, strategy, np.random.default_rng(seed))]
        return cKDTree(chosen).query(positions)[0].max()

    limit = {"poisson": 4.0, "grid": 5.0, "squares": 14.0}[name]
    assert hole(name) < limit
    assert hole(name) < hole("block")


def test_grid_on_a_lattice_is_a_sublattice():
    positions = lattice(40, 40, pitch=1.0)
    chosen = positions[sample_mask(positions, 100, "grid", np.random.default_rng(0))]
    # 1 in 16 spots: columns and rows about 4 apart, so about 10 of each
    for axis in range(2):
        assert len(np.unique(chosen[:, axis])) <= 12
    assert gap(chosen).min() >= 3


def test_block_in_the_middle_of_a_lattice_is_a_square():
    positions = lattice(5, 5, pitch=1.0)
    for seed in range(200):
        mask = sample_mask(positions, 9, "block", np.random.default_rng(seed)).reshape(5, 5)
        if mask[1:4, 1:4].all():
            break
    else:
        pytest.fail("no 3 x 3 block around the centre in 200 draws")


def test_squares_are_several_compact_groups():
    positions = lattice(40, 40, pitch=1.0)
    chosen = positions[sample_mask(positions, 90, "squares", np.random.default_rng(1))]
    neighbors = cKDTree(chosen).sparse_distance_matrix(cKDTree(chosen), 1.5)
    from scipy.sparse.csgraph import connected_components

    assert 7 <= connected_components(neighbors)[0] <= 10


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [[0.02, 0.1, 0.3], [0.3, 0.02, 0.1]])
def test_nested(name, order):
    positions = tissue()
    masks = nested_masks(positions, order, name, seed=4)
    assert list(masks) == order
    for fraction, mask in masks.items():
        assert mask.sum() == round(fraction * len(positions))
    assert not (masks[0.02] & ~masks[0.1]).any()
    assert not (masks[0.1] & ~masks[0.3]).any()
    np.testing.assert_array_equal(masks[0.1], nested_masks(positions, order, name, seed=4)[0.1])


def test_nested_blocks_stay_blocks():
    positions = tissue()
    for mask in nested_masks(positions, [0.05, 0.2], "block", seed=0).values():
        assert gap(positions[mask]).max() < 1.2


def test_adding_a_strategy_takes_one_registration():
    @register_strategy("first")
    def first(positions, n, rng):
        return np.arange(n)

    try:
        assert sample_mask(tissue(), 3, "first", np.random.default_rng(0)).nonzero()[0].tolist() == [0, 1, 2]
    finally:
        del STRATEGIES["first"]


def test_a_strategy_that_miscounts_is_named():
    STRATEGIES["twice"] = lambda positions, n, rng: np.zeros(n, dtype=int)
    try:
        with pytest.raises(ValueError, match=r"'twice' chose 1 different spots where 3"):
            sample_mask(tissue(), 3, "twice", np.random.default_rng(0))
    finally:
        del STRATEGIES["twice"]


def test_bad_arguments():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=r"no strategy 'hex'\. Available: 'block', 'grid'"):
        sample_mask(tissue(), 3, "hex", rng)
    with pytest.raises(ValueError, match="n must lie from 1"):
        sample_mask(tissue(), 0, "random", rng)
    with pytest.raises(ValueError, match="Cannot choose n=5 of 4"):
        sample_mask(np.zeros((4, 2)), 5, "random", rng)
    with pytest.raises(ValueError, match=r"finite \(n, 2\)"):
        sample_mask(np.full((4, 2), np.nan), 2, "random", rng)
    with pytest.raises(ValueError, match="No fraction"):
        nested_masks(tissue(), [], "random", seed=0)
