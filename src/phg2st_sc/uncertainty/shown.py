"""What left-out prompts show of every gene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from .._evidence import LeftOut

Array = NDArray[np.float64]

_CLIP = 10.0
"""Standard deviations of the counting noise beyond which single counts are outliers."""
_APART = 0.35
"""Standard deviation of the evidence that genes which are predicted give, in units of what it is expected to be."""
_LEAST_FACTOR = 0.3
_STEPS = 60


@dataclass(frozen=True, eq=False)
class Shown:
    """(folds, G) sums over left-out prompts about the mean of their fold, in counting noise.

    A fold that is left out shifts the level of all others the other way, so that levels of folds would seem to be
    predicted the wrong way round.

    Attributes
    ----------
    squares, both, scatter
        Squares of the prediction, its products with the truth, squares of these products.
    """

    squares: Array
    both: Array
    scatter: Array

    @classmethod
    def of(cls, left_out: LeftOut, stretch: float) -> Shown:
        """Sums of prompts that were left out, their predictions stretched about the level."""
        level = left_out.level
        most = _CLIP / np.sqrt(left_out.totals)[:, None]
        truth = np.clip((left_out.counts / left_out.totals[:, None] - level) / np.sqrt(level), -most, most)
        guess = stretch * (left_out.rate - level) / np.sqrt(level)
        sums = []
        for fold in np.unique(left_out.folds):
            here = left_out.folds == fold
            weight = left_out.totals[here]
            t, g = (one[here] - weight @ one[here] / weight.sum() for one in (truth, guess))
            sums.append([weight @ g**2, weight @ (g * t), weight**2 @ (g * t) ** 2])
        squares, both, scatter = np.moveaxis(np.array(sums), 1, 0)
        return cls(squares, both, scatter)

    def slope(self, variance: Array, kept: NDArray[np.bool_]) -> float:
        """Slope of the truth on the prediction over some folds; every gene counts by what stands against it."""
        squares, both = self.squares[kept].sum(axis=0), self.both[kept].sum(axis=0)
        size = np.sqrt(squares)
        weight = np.divide(1.0, variance * size, out=np.zeros_like(size), where=size > 0)
        total = float(weight @ squares)
        return float(weight @ both) / total if total > 0 else 1.0

    def says_nothing(self, factor: float) -> Array:
        """(G,) chance that the prediction of a gene goes with nothing that was measured.

        Where nothing is predicted, evidence is as often below 0 as above: twice the genes below tell how many these are, and their
        squares how far chance goes. Which they are is said by two groups (Efron 2010), one about 0, one about what is claimed.
        """
        squares, both = self.squares.sum(axis=0), self.both.sum(axis=0)
        size = np.sqrt(self.scatter.sum(axis=0))
        evidence = np.divide(both, size, out=np.zeros_like(size), where=size > 0)
        claimed = max(factor, _LEAST_FACTOR) * np.divide(squares, size, out=np.zeros_like(size), where=size > 0)
        below = evidence[evidence < 0]
        share = min((2.0 * below.size + 1.0) / evidence.size, 1.0)
        chance = float(np.sqrt(max((below**2).mean(), 1.0))) if below.size else 1.0
        nothing = norm.pdf(evidence, 0.0, chance)
        something = norm.pdf(evidence, claimed, np.sqrt(chance**2 + (_APART * claimed) ** 2))
        return np.where(size > 0, _with_mean(nothing / np.maximum(something, 1e-300), share), 1.0)


def _with_mean(ratio: Array, share: float) -> Array:
    """Chances of the first of two groups from the ratio of their densities, such that they are ``share`` on average."""
    low, high = -60.0, 60.0
    for _ in range(_STEPS):
        odds = 0.5 * (low + high)
        mean = float(expit(np.log(np.maximum(ratio, 1e-300)) + odds).mean())
        low, high = (odds, high) if mean < share else (low, odds)
    return np.asarray(expit(np.log(np.maximum(ratio, 1e-300)) + 0.5 * (low + high)))
