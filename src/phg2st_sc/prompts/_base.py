"""What every strategy is handed and returns, and the masks that are drawn by one.

A strategy is one file here with one function under :func:`register_strategy`: it is handed positions, how many spots to
choose and a random generator, and returns that many different spot numbers. Only distances relative to each other matter,
so that positions may be in any unit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from .._docs import documented
from .._registry import Registry

Positions = NDArray[np.float64]
Strategy = Callable[[Positions, int, np.random.Generator], NDArray[np.int64]]

STRATEGIES: Registry[Strategy] = Registry("strategy")
"""Every way to draw prompts, by name."""


@documented
def register_strategy(name: str) -> Callable[[Strategy], Strategy]:
    """Make a function available as ``strategy=name``.

    Parameters
    ----------
    name
        The name; a strategy of that name is replaced.

    Returns
    -------
    A decorator for a function from positions, number of spots to choose and generator to the numbers of the chosen spots.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.prompts import register_strategy, sample_mask
    >>> @register_strategy("leftmost")
    ... def leftmost(positions, n, rng):
    ...     return np.argsort(positions[:, 0], kind="stable")[:n]
    >>> sample_mask(np.array([[2.0, 0], [0, 0], [1, 0]]), 1, "leftmost", np.random.default_rng(0))
    array([False,  True, False])
    """
    return STRATEGIES.register(name)


def generator_of(seed: int, name: str) -> np.random.Generator:
    """Return a generator that depends on the seed and on the name of the slide, so that no slide moves another's prompts."""
    return np.random.default_rng([int(seed), crc32(name.encode())])


@documented
def sample_mask(positions: Positions, n: int, strategy: str, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose exactly ``n`` spots.

    Parameters
    ----------
    {positions:any}
    n
        How many to choose, from 1 to the number of spots.
    {strategy:prompts}
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
    draw = STRATEGIES[strategy]
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


@documented
def nested_masks(
    positions: Positions, fractions: Sequence[float], strategy: str, seed: int
) -> dict[float, NDArray[np.bool_]]:
    """Choose spots for several fractions, the spots of a smaller fraction among those of every larger one.

    The largest fraction is drawn first; each smaller one is drawn by the same strategy among the spots of the next larger.
    A curve over the fraction then has one common held-out set: the spots outside the largest mask.

    Parameters
    ----------
    {positions:any}
    fractions
        Parts of the spots to choose, each above 0 and below 1.
    {strategy:prompts} {seed}

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
    if n_spots < 2:
        raise ValueError(
            f"{n_spots} spot(s) of {name} can be drawn from, and one stays to be predicted: at least 2 are needed."
        )
    if wanted >= n_spots:
        msg = (
            f"{wanted} prompts of the {n_spots} spots of {name} would leave no spot to predict: "
            f"ask for fewer, at most n={n_spots - 1}."
        )
        raise ValueError(msg)
    return wanted
