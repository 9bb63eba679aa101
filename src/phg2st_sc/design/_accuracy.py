"""Accuracy against budget before it is paid, and how far it can be told.

How the correlation grows with the number of prompts follows from places and covariance, up to one number: the
signal-to-noise ratio of the genes. On open sections one such number fits the whole curve. Prompts that were left out in turn
tell it; without prompts it is as uncertain as it varied over these sections.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from .._evidence import LeftOut
from .._progress import part
from ..linear import groups
from ..prompts import sample_mask
from ._expected import RATIOS, equally_deep, expected_correlation, left_out_correlation
from ._suggest import suggest
from ._survey import Index, Survey, about_mean

Array = NDArray[np.float64]

RANDOM, SUGGESTED = "random", "suggested"
_USUAL, _SPREAD = 0.3, 0.9
"""Ratio of a section, and the standard deviation of its logarithm: over 17 open sections of four tissues."""
_DRAWS = 3
"""Random designs whose expectations are averaged."""
_BESIDE_CURVE, _OF_FEW = 0.15, 0.9
"""Standard deviation of the logarithm of what one design reached, about the curve that fits its section: of many spots, and what
is added by few, over the root of their number."""
_LEAST_ERROR, _RELATIVE_ERROR = 0.02, 0.3
"""Error of the expectation for left-out prompts, in correlation and as a share of it, beside that of their mean."""
_WINDOW = 2000
"""Spots of a part that stands for a larger slide."""
_LEAST_PROMPTS = 2


@dataclass(frozen=True, eq=False)
class Belief:
    """What is believed of the signal-to-noise ratio of a section.

    Attributes
    ----------
    weights
        (ratios,) adding up to 1.
    observed, error
        Correlation at prompts that were left out, and its standard error; ``None`` where there are none.
    """

    weights: Array
    observed: float | None = None
    error: float | None = None

    @classmethod
    def of(cls, survey: Survey, left_out: LeftOut | None) -> Belief:
        """Before any prompt, or after left-out prompts were compared with what was predicted."""
        before = norm.pdf(np.log(RATIOS / _USUAL) / _SPREAD)
        if left_out is None or left_out.spots.size < _LEAST_PROMPTS:
            return cls(before / before.sum())
        observed, error = observed_correlation(left_out)
        expected = left_out_correlation(equally_deep(survey), left_out.spots, left_out.folds)
        width = np.sqrt(error**2 + _LEAST_ERROR**2 + (_RELATIVE_ERROR * expected) ** 2)
        after = before * norm.pdf((observed - expected) / width) / width
        return cls(after / after.sum(), observed, error)

    def summary(self, correlation: Array, n_prompts: int, level: float) -> tuple[float, float, float]:
        """Expected value and bounds of a correlation that is known by ratio, of so many prompts."""
        beside = np.hypot(_BESIDE_CURVE, _OF_FEW / np.sqrt(n_prompts))
        steps = np.exp(beside * norm.ppf((np.arange(25) + 0.5) / 25))
        values, weights = np.outer(correlation, steps).ravel(), np.repeat(self.weights / steps.size, steps.size)
        order = np.argsort(values)
        reached = np.cumsum(weights[order])
        bounds = [values[order][np.searchsorted(reached, share)] for share in ((1 - level) / 2, (1 + level) / 2)]
        return float(self.weights @ correlation), float(bounds[0]), float(min(bounds[1], 1.0))


def observed_correlation(left_out: LeftOut) -> tuple[float, float]:
    """Mean correlation over genes at left-out prompts about the mean of their fold, and its standard error over prompts.

    About the mean of the fold, because what is predicted without some prompts has a level that these are missing in.
    """
    expected = left_out.totals[:, None] * left_out.level
    truth = _within_folds((left_out.counts - expected) / np.sqrt(expected), left_out.folds)
    made = _within_folds(left_out.rate / left_out.level, left_out.folds)
    known = left_out.counts.any(axis=0)
    by_prompt = (truth * made)[:, known].mean(axis=1)
    return float(by_prompt.mean()), float(by_prompt.std(ddof=1) / np.sqrt(by_prompt.size))


def _within_folds(values: Array, folds: Index) -> Array:
    out = np.asarray(values, dtype=np.float64).copy()
    for fold in np.unique(folds):
        out[folds == fold] = about_mean(out[folds == fold])
    spread = np.sqrt(np.square(out).mean(axis=0))
    return np.divide(out, spread, out=np.zeros_like(out), where=spread > 0)


def correlations(survey: Survey, candidates: Index, numbers: Sequence[int], seed: int) -> Mapping[str, list[Array]]:
    """Correlations by ratio that random and suggested spots lead one to expect, for each number of spots.

    Parameters
    ----------
    survey
        The slide.
    candidates
        Spots that can be measured and were not; those that are not chosen are predicted and scored.
    numbers
        How many of them to measure, beside the spots that were measured already.
    seed
        Of the random spots.
    """
    share = [number / candidates.size for number in numbers]
    made = [
        _in_window(one, free, [round(one_share * free.size) for one_share in share], seed)
        for one, free in part(_windows(survey, candidates), desc="expect", unit="part")
    ]
    return {
        name: [np.mean(several, axis=0) for several in zip(*(one[name] for one in made), strict=True)]
        for name in made[0]
    }


def _windows(survey: Survey, candidates: Index) -> list[tuple[Survey, Index]]:
    """The slide and its candidates, or two parts of one that is too large to be gone through, with theirs."""
    if survey.places.n <= 1.5 * _WINDOW:
        return [(survey, candidates)]
    parts = groups(survey.places.positions, _WINDOW)
    parts = [one for one in parts if np.isin(one, candidates).sum() > _LEAST_PROMPTS]
    if not parts:
        return [(survey, candidates)]
    few = (parts[len(parts) // 3], parts[2 * len(parts) // 3])
    return [(survey.within(one), np.flatnonzero(np.isin(one, candidates))) for one in few]


def _in_window(survey: Survey, free: Index, numbers: Sequence[int], seed: int) -> dict[str, list[Array]]:
    more = [min(number, free.size - 1) for number in numbers]
    if not survey.measured.size:
        more = [max(number, _LEAST_PROMPTS) for number in more]
    order = suggest(survey, max(more), free, block=False, seed=seed).spots if max(more) else free[:0]
    equal = equally_deep(survey)

    def expected(chosen: Index) -> Array:
        spots = np.concatenate([survey.measured, chosen])
        return expected_correlation(equal, spots, np.setdiff1d(free, chosen))

    rng, positions = np.random.default_rng(seed), survey.places.positions[free]
    drawn = [
        np.mean(
            [expected(free[sample_mask(positions, n, "random", rng)] if n else free[:0]) for _ in range(_DRAWS)], axis=0
        )
        for n in more
    ]
    return {RANDOM: drawn, SUGGESTED: [expected(order[:n]) for n in more]}
