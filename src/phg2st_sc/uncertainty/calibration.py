"""How large the errors of a prediction are, from prompts that were left out in turn.

What the count of a spot differs by from what was predicted has three parts: counting noise, the error of the rate of the tissue
around, which neighboring spots share, and what the rate of this spot departs from its neighbors by. The posterior says how the
second grows with the distance to the prompts; how large it is, and the third, is read off the left-out prompts, by group of genes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from .._evidence import LeftOut, Posterior
from ..linear import MIN_TO_LEAVE_OUT, level_groups
from .counts import OVERDISPERSION, Curves

Array = NDArray[np.float64]

LEAST_RATE = 0.05
"""Of the level of a gene: a method may predict nothing at all, and a gene is nowhere surely absent."""
_USUAL_RATE = 2.3
"""Error of rates in variances of the posterior, as found on three open data sets, alone and trained."""
_USUAL_SPOT = (0.15, 0.4, 2.0)
"""What single spots depart by there, by group of genes, the most counted first: variance over squared rate."""
_OF_PAIRS, _OF_ALL = 0.7, 0.22
"""What products of errors of nearby spots, and squared errors, came to there in units of the error of rates."""
_LENGTH, _REACH = 3.0, 12.0
"""In lattice pitches: over which errors of rates fall off, and how far pairs are looked at."""
_LEAST, _MOST_PAIRS, _MOST_ALL = 0.3, 20.0, 100.0
_PSEUDO = 20.0
"""Left-out prompts that what spots of its group depart by is worth to a gene that varies much."""
_LEAST_FACTOR, _MOST_FACTOR = 0.1, 10.0
_LEAST_SPOT = 0.02
"""Of what single spots usually depart by, which squares of few errors may miss."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What errors are, by gene.

    Attributes
    ----------
    rate
        (G,) variance of rates in units of the posterior's.
    spot
        (G,) variance of what the rate of a single spot departs by, over the squared rate.
    signal
        Variance of whitened rates from place to place, summed over genes.
    curves
        Corrections of the quantiles of counts.
    n_prompts
        Prompts that were left out; 0 where all is what it usually is.
    """

    rate: Array
    spot: Array
    signal: float
    curves: Curves
    n_prompts: int


@dataclass(frozen=True, eq=False)
class _Errors:
    """Left-out prompts: counts, what was expected, and variance of the expectation as the posterior tells."""

    counts: Array
    expected: Array
    told: Array
    near: Array

    @property
    def squares(self) -> Array:
        """(p, G) squared errors beyond counting noise."""
        return (self.counts - self.expected) ** 2 - self.expected

    @property
    def weight(self) -> Array:
        """(p, G) about what one error says."""
        return 1.0 / (self.expected + 5.0 * self.told)

    def of(self, genes: NDArray[np.bool_]) -> _Errors:
        return _Errors(self.counts[:, genes], self.expected[:, genes], self.told[:, genes], self.near)


def calibrate(left_out: LeftOut | None, posterior: Posterior, positions: Array, level: Array) -> Calibration:
    """Learn from left-out prompts what errors are; below ten of them, what they usually are.

    Parameters
    ----------
    left_out
        Prompts that were left out.
    posterior
        Given all prompts.
    positions
        (n, 2) spots of the slide, in lattice pitches.
    level
        (G,) shares of the genes in the counts of the panel.
    """
    groups = level_groups(level)
    if left_out is None or left_out.spots.size < MIN_TO_LEAVE_OUT:
        rate = np.full(level.size, _USUAL_RATE)
        prior = float((posterior.loading @ rate).sum())
        return Calibration(rate, np.asarray(_USUAL_SPOT)[groups], prior, Curves.straight(), 0)
    left = posterior.at_left_out(left_out) @ posterior.loading
    errors = _errors(left_out, left * posterior.noise, positions, level)
    rate, spot = np.empty(level.size), np.empty(level.size)
    for group in np.unique(groups):
        some = groups == group
        rate[some], spot[some] = _of_group(errors.of(some), _USUAL_SPOT[group])
    spot *= _gene_factors(errors, rate, spot)
    curves = Curves.of(
        errors.counts, errors.expected, rate * errors.told + (spot + OVERDISPERSION) * errors.expected**2
    )
    # what predictions vary by, and their errors, is what there is to be predicted
    departs = (left_out.rate - level) ** 2 / level / posterior.noise + rate * left
    signal = float(departs.sum(axis=1).mean())
    return Calibration(rate, spot, signal, curves, int(left_out.spots.size))


def _errors(left_out: LeftOut, left: Array, positions: Array, level: Array) -> _Errors:
    totals, at = left_out.totals[:, None], positions[left_out.spots]
    rate = np.maximum(left_out.rate, LEAST_RATE * level)
    # of a rate below its level less is wrong than of one above it
    told = totals**2 * rate * left
    distance = cdist(at, at)
    near = np.exp(-distance / _LENGTH) * (distance < _REACH) * (left_out.folds[:, None] == left_out.folds)
    np.fill_diagonal(near, 0.0)
    return _Errors(left_out.counts.astype(np.float64), totals * rate, told, near)


def _of_group(errors: _Errors, usual_spot: float) -> tuple[float, float]:
    """Error of rates, and what single spots depart by, of a group of genes."""
    told, weight = errors.told, errors.weight
    root = np.sqrt(told) * weight * (errors.counts - errors.expected)
    product = float(((root @ root.T) * errors.near).sum())
    power = float((((told * weight) @ (told * weight).T) * errors.near**2).sum())
    all_of_it = float((errors.squares * told * weight**2).sum() / max((told**2 * weight**2).sum(), 1e-300))
    guesses = [np.log(_OF_ALL * np.clip(all_of_it, _LEAST, _MOST_ALL)), np.log(_USUAL_RATE)]
    if power > 0:
        guesses.append(np.log(np.clip(_OF_PAIRS * product / power, _LEAST, _MOST_PAIRS)))
    rate = float(np.exp(np.mean(guesses)))
    square = errors.expected**2
    rest = float(((errors.squares - rate * told) * square * weight**2).sum())
    found = rest / max(float((square**2 * weight**2).sum()), 1e-300)
    return rate, max(found - OVERDISPERSION, _LEAST_SPOT * usual_spot)


def _gene_factors(errors: _Errors, rate: Array, spot: Array) -> Array:
    """(G,) what single spots depart by in each gene, in units of its group's, drawn towards 1."""
    alone = spot * errors.expected**2
    weight = 1.0 / (errors.expected + rate * errors.told + alone) ** 2
    power = (weight * alone**2).sum(axis=0)
    product = (weight * (errors.squares - rate * errors.told - OVERDISPERSION * errors.expected**2) * alone).sum(axis=0)
    return np.asarray(np.clip((product + _PSEUDO) / (power + _PSEUDO), _LEAST_FACTOR, _MOST_FACTOR))
