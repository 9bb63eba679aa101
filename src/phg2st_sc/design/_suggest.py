"""Which spots to measure next, on slides of any size."""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from ..linear import groups, surrounding
from ..prompts import sample_mask
from ._block import best_block
from ._greedy import Chosen, greedy_spots, open_variance
from ._survey import Index, Survey

_MOST_TOGETHER = 3000
"""Spots of a slide among which all are compared, and candidates that stand for those of a larger one."""
_MOST_TARGETS = 1500
"""Spots that stand for the tissue where not all do."""
_MOST_SPARSE = 750
"""Spots to choose up to which candidates stand for others; more are chosen part by part."""
_PART = 2000
"""Spots of a part of a large slide."""
_AROUND = 500
"""Spots around a part whose measurements are heard in it."""


def suggest(survey: Survey, n: int, candidates: Index, *, block: bool, seed: int) -> Chosen:
    """Choose n of the candidates for the sake of all spots of the slide.

    Parameters
    ----------
    survey
        The slide.
    n
        How many to choose, at most as many as there are candidates.
    candidates
        Spots that may be chosen.
    block
        Whether they are to lie in one square.
    seed
        Of which spots stand for others on large slides, and of ties.
    """
    rng, positions = np.random.default_rng(seed), survey.places.positions
    every = np.arange(survey.places.n)
    if block:
        return best_block(survey, n, candidates, _evenly(positions, every, _MOST_TARGETS, rng), rng)
    if survey.places.n <= _MOST_TOGETHER:
        return greedy_spots(survey, n, candidates, every)
    if n <= _MOST_SPARSE:
        few = _evenly(positions, candidates, _MOST_TOGETHER, rng)
        return greedy_spots(survey, n, few, _evenly(positions, every, _MOST_TARGETS, rng))
    return _by_parts(survey, n, candidates)


def _evenly(positions: NDArray[np.float64], spots: Index, most: int, rng: np.random.Generator) -> Index:
    if spots.size <= most:
        return spots
    return spots[sample_mask(positions[spots], most, "poisson", rng)]


def _by_parts(survey: Survey, n: int, candidates: Index) -> Chosen:
    """Choose in one part of the slide after the other, as many in each as its size and what was measured there ask for.

    What is open before and after is a mean over all spots of the slide, each about the mean of its part.
    """
    positions = survey.places.positions
    parts = groups(positions, _PART)
    free = [one[np.isin(one, candidates)] for one in parts]
    shares = _shares(n, parts, free, survey.measured)
    made = [
        _in_part(_around(survey, positions, one), share, these, one)
        for one, these, share in zip(parts, free, shares, strict=True)
    ]
    weights = np.array([len(one) for one in parts]) / len(positions)
    gains = np.repeat(weights, shares) * np.concatenate([one.gains for one in made])
    order = np.argsort(-gains, kind="stable")
    spots = np.concatenate([one.spots for one in made])
    return Chosen(spots[order], gains[order], float(weights @ [one.before for one in made]))


def _in_part(survey: Survey, n: int, candidates: Index, targets: Index) -> Chosen:
    if n:
        return greedy_spots(survey, n, candidates, targets)
    posterior = survey.posterior()
    return Chosen(candidates[:0], np.zeros(0), open_variance(posterior, posterior.see(targets)))


def _around(survey: Survey, positions: NDArray[np.float64], one: Index) -> Survey:
    near = surrounding(positions, one, one.size + _AROUND)
    return survey.given(np.flatnonzero(np.isin(survey.measured, near)))


def _shares(n: int, parts: list[Index], free: list[Index], measured: Index) -> list[int]:
    """How many of n spots each part gets: always the one that has fewest measured for its size."""
    had = [int(np.isin(one, measured).sum()) for one in parts]
    shares = [0] * len(parts)
    waiting = [(had[k] / len(one), k) for k, one in enumerate(parts) if len(free[k])]
    heapq.heapify(waiting)
    for _ in range(n):
        _, k = heapq.heappop(waiting)
        shares[k] += 1
        if shares[k] < len(free[k]):
            heapq.heappush(waiting, ((had[k] + shares[k]) / len(parts[k]), k))
    return shares
