"""Ways to choose which spots are measured: positions in, spot numbers out.

Adding one takes one function with :func:`register_strategy`: it is handed positions, how many spots to choose and a random
generator, and returns that many different spot numbers. Only distances relative to each other matter, so that positions
may be in any unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Positions = NDArray[np.float64]
Strategy = Callable[[Positions, int, np.random.Generator], NDArray[np.int64]]

STRATEGIES: dict[str, Strategy] = {}
"""Every way to draw prompts, by name."""

_SPOTS_PER_SQUARE = 9
_SHRINK = 0.95


def register_strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Make a function available as ``strategy=name``.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.pp import register_strategy, sample_mask
    >>> @register_strategy("leftmost")
    ... def leftmost(positions, n, rng):
    ...     return np.argsort(positions[:, 0], kind="stable")[:n]
    >>> sample_mask(np.array([[2.0, 0], [0, 0], [1, 0]]), 1, "leftmost", np.random.default_rng(0))
    array([False,  True, False])
    """

    def register(strategy: Strategy) -> Strategy:
        STRATEGIES[name] = strategy
        return strategy

    return register


def get_strategy(name: str) -> Strategy:
    """Return the strategy of that name, or say which there are."""
    if name not in STRATEGIES:
        raise ValueError(f"There is no strategy {name!r}: choose one of {sorted(STRATEGIES)}.")
    return STRATEGIES[name]


def sample_mask(positions: Positions, n: int, strategy: str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose exactly ``n`` spots.

    Parameters
    ----------
    positions
        (n_spots, 2) spot centres, in any unit.
    n
        How many to choose, from 1 to the number of spots.
    strategy
        Name in :data:`STRATEGIES`.
    rng
        Source of randomness: equal generators give equal masks.

    Returns
    -------
    (n_spots,) boolean array with ``n`` times True.

    Raises
    ------
    ValueError
        Unknown strategy, ``n`` out of range, or positions that are no finite (n, 2) array.

    Examples
    --------
    >>> import numpy as np
    >>> positions = np.argwhere(np.ones((10, 10))).astype(float)
    >>> int(sample_mask(positions, 12, "block", np.random.default_rng(0)).sum())
    12
    """
    draw = get_strategy(strategy)
    positions = np.asarray(positions, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[1] != 2 or not np.isfinite(positions).all():
        raise ValueError(f"Positions must be a finite (n, 2) array; these have shape {positions.shape}.")
    if not 1 <= n <= len(positions):
        raise ValueError(f"Cannot choose n={n} of {len(positions)} spots: n must lie from 1 to the number of spots.")
    chosen = np.asarray(draw(positions, n, rng), dtype=np.int64)
    mask = np.zeros(len(positions), dtype=bool)
    mask[chosen] = True
    if chosen.size != n or mask.sum() != n:
        raise ValueError(f"Strategy {strategy!r} chose {int(mask.sum())} different spots where {n} were asked for.")
    return mask


def nested_masks(
    positions: Positions, fractions: Sequence[float], strategy: str, seed: int
) -> dict[float, NDArray[np.bool_]]:
    """Choose spots for several fractions, the spots of a smaller fraction among those of every larger one.

    The largest fraction is drawn first; each smaller one is drawn by the same strategy among the spots of the next larger.
    A curve over the fraction then has one common held-out set: the spots outside the largest mask.

    Parameters
    ----------
    positions
        (n_spots, 2) spot centres, in any unit.
    fractions
        Parts of the spots to choose, each above 0 and below 1.
    strategy
        Name in :data:`STRATEGIES`.
    seed
        Equal seeds give equal masks.

    Returns
    -------
    Mask of each fraction, in the order of ``fractions``.

    Raises
    ------
    ValueError
        No fraction, or a fraction out of range.

    Examples
    --------
    >>> import numpy as np
    >>> positions = np.argwhere(np.ones((10, 10))).astype(float)
    >>> masks = nested_masks(positions, [0.05, 0.2], "poisson", seed=0)
    >>> bool((masks[0.2] | ~masks[0.05]).all())
    True
    """
    if not len(fractions):
        raise ValueError("No fraction was given.")
    positions = np.asarray(positions, dtype=np.float64)
    rng = np.random.default_rng(seed)
    available = np.arange(len(positions))
    masks: dict[float, NDArray[np.bool_]] = {}
    for fraction in sorted(set(fractions), reverse=True):
        n = number_of_prompts(len(positions), fraction=fraction, n=None)
        available = available[sample_mask(positions[available], n, strategy, rng)]
        masks[fraction] = np.isin(np.arange(len(positions)), available)
    return {fraction: masks[fraction] for fraction in fractions}


def number_of_prompts(n_spots: int, *, fraction: float | None, n: int | None, name: str = "the slide") -> int:
    """Return how many of ``n_spots`` to draw: ``n``, or the rounded fraction and at least 1; one spot stays held out."""
    if n is None:
        if isinstance(fraction, bool) or not isinstance(fraction, (int, float, np.number)) or not 0 < fraction < 1:
            raise ValueError(f"fraction={fraction!r} must be a number above 0 and below 1 (0.1 draws a tenth).")
        wanted = max(1, round(float(fraction) * n_spots))
    elif isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n={n!r} must be an integer of at least 1.")
    else:
        wanted = int(n)
    if wanted >= n_spots:
        msg = (
            f"{wanted} prompts of the {n_spots} spots of {name} would leave no spot to predict: "
            f"ask for fewer, at most n={n_spots - 1}."
        )
        raise ValueError(msg)
    return wanted


@register_strategy("random")
def random(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose spots independently of where they lie."""
    return rng.permutation(len(positions))[:n]


@register_strategy("poisson")
def poisson(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose well-spread spots: random darts that keep a distance, which shrinks until enough have landed.

    Hierarchical dart throwing (McCool and Fiume 1992, "Hierarchical Poisson disk sampling distributions").
    """
    order = rng.permutation(len(positions))
    tree = cKDTree(positions)
    nearest = np.full(len(positions), np.inf)
    chosen: list[int] = []
    extent = np.ptp(positions, axis=0)
    # no n darts in a box of that size are farther apart than this: starting wider would only favour the edges
    radius = widest = max(float(np.sqrt(1.16 * extent.prod() / n)), float(np.linalg.norm(extent)) / n)
    while len(chosen) < n and radius > 1e-6 * widest:
        for spot in order[nearest[order] >= radius]:
            if len(chosen) == n:
                break
            if nearest[spot] >= radius:
                chosen.append(int(spot))
                close = tree.query_ball_point(positions[spot], radius)
                distance = np.linalg.norm(positions[close] - positions[spot], axis=1)
                nearest[close] = np.minimum(nearest[close], distance)
        radius *= _SHRINK
    return _fill_up(np.array(chosen, dtype=np.int64), n, order)


@register_strategy("grid")
def grid(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose the spots nearest to the nodes of the widest square grid that hits at least ``n`` of them.

    Where the grid hits more, surplus spots are left out at random.
    """
    tree = cKDTree(positions)
    reach = 0.75 * _pitch(tree, positions)
    low, extent = positions.min(axis=0), np.ptp(positions, axis=0)
    shift = rng.random(2)
    spacing, hit = float(extent.max()), np.empty(0, dtype=np.int64)
    while spacing > reach / 8:
        hit = _nearest_to_nodes(tree, low - shift * spacing, extent, spacing, reach)
        if hit.size >= n:
            break
        spacing *= _SHRINK
    keep = np.sort(rng.permutation(hit.size)[:n])
    return _fill_up(hit[keep], n, rng.permutation(len(positions)))


@register_strategy("squares")
def squares(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose several small squares of about nine spots each, well spread over the slide."""
    n_squares = min(n, max(2, round(n / _SPOTS_PER_SQUARE)))
    tree = cKDTree(positions)
    free = np.ones(len(positions), dtype=bool)
    chosen: list[NDArray[np.int64]] = []
    for square, center in enumerate(poisson(positions, n_squares, rng)):
        size = n // n_squares + (square < n % n_squares)
        # looking close by first keeps this linear in the number of spots
        close = tree.query(positions[center], k=min(len(positions), 4 * size + 8), p=np.inf)[1]
        close = np.atleast_1d(close)[free[close]]
        picked = _around(positions, int(center), size, rng, close if close.size >= size else np.flatnonzero(free))
        free[picked] = False
        chosen.append(picked)
    return np.concatenate(chosen)


@register_strategy("block")
def block(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose one square region, as one small capture area would: the spots nearest to a random spot."""
    return _around(positions, int(rng.integers(len(positions))), n, rng, np.arange(len(positions)))


def _around(
    positions: Positions, center: int, n: int, rng: np.random.Generator, among: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the ``n`` of some spots nearest to a centre by the larger of the two coordinate differences, then by distance."""
    offset = np.abs(positions[among] - positions[center])
    # lattice positions carry rounding noise, which must not decide between spots of one ring
    scale = max(float(np.ptp(positions, axis=0).max()), np.finfo(float).tiny)
    ring = np.round(offset.max(axis=1) / scale, 6)
    order = np.lexsort((rng.random(len(among)), np.linalg.norm(offset, axis=1), ring))
    return among[order[:n]]


def _nearest_to_nodes(
    tree: cKDTree, start: NDArray[np.float64], extent: NDArray[np.float64], spacing: float, reach: float
) -> NDArray[np.int64]:
    steps = np.ceil(extent / spacing).astype(int) + 2
    axes = [start[k] + spacing * np.arange(steps[k]) for k in range(2)]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    distance, spot = tree.query(nodes, distance_upper_bound=reach)
    return np.unique(spot[np.isfinite(distance)]).astype(np.int64)


def _pitch(tree: cKDTree, positions: Positions) -> float:
    if len(positions) < 2:
        return 1.0
    apart = tree.query(positions, k=2)[0][:, 1]
    apart = apart[apart > 0]
    return float(np.median(apart)) if apart.size else 1.0


def _fill_up(chosen: NDArray[np.int64], n: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Top up from ``order``: spots that share one place cannot all be told apart by distance."""
    rest = order[~np.isin(order, chosen)]
    return np.concatenate([chosen, rest[: n - chosen.size]])
