"""How far each gene can be trusted: the correlation that its prediction is expected to reach at spots that were not measured.

The scores of a section correlate a predicted map with Pearson residuals of counts, averaged over neighbors. Of a prediction that is
right on average, the covariance with these is its own variance, and what stands against it is known: counting noise, what the rates of
single spots depart from their neighbors by, as left-out prompts show it, and what the prompts leave open. Left-out prompts then correct
all genes by one factor. What they show of a single gene is mostly the noise of its counts there, and ranks genes worse than its predicted
map does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._evidence import LeftOut, Posterior
from ..linear import even_subset
from .calibration import Calibration
from .maps import GeneMaps
from .shown import Shown

Array = NDArray[np.float64]

DOUBT, DOUBT_WITHOUT_COVARIANCE = 0.2, 1.0
"""Standard deviation of the factor by which predictions of a slide turn out better or worse than they claim."""
_LEAST_FACTOR, _MOST_FACTOR = 0.2, 3.0
_LEAST_FOLDS = 3
_AVERAGED = 0.5
"""What is left of an open variance, averaged over neighbors and without its mean over the slide."""
_PATCH = 28.0
"""Spots over which what is open goes up and down together: a circle of three pitches."""
_ALIKE = 0.1
"""Standard deviation between genes that are alike in all that is known."""
_MOST_OPEN = 512


@dataclass(frozen=True, eq=False)
class GeneTrust:
    """Expected correlations.

    Attributes
    ----------
    expected, error
        (G,) expected held-out correlation of every gene, and its standard error.
    nothing
        (G,) chance that the prediction of a gene says nothing at all.
    factor
        By which left-out prompts were predicted better or worse than the prediction claims.
    mean_error
        Standard error of the mean over genes.
    """

    expected: Array
    error: Array
    nothing: Array
    factor: float
    mean_error: float

    @property
    def mean(self) -> float:
        """Expected mean correlation of the slide."""
        return float(self.expected.mean())


def gene_trust(
    maps: GeneMaps,
    left_out: LeftOut,
    left: Posterior,
    calibration: Calibration,
    *,
    amplitude: float = 1.0,
    doubt: float = DOUBT,
) -> GeneTrust:
    """Expected held-out correlation of every gene.

    Parameters
    ----------
    maps
        What is predicted where nothing was measured.
    left_out
        How left-out prompts were predicted.
    left
        What the prompts leave open.
    calibration
        What single spots depart from their neighbors by.
    amplitude
        Common factor by which the method drew its maps towards the level. Correlations do not change with it.
    doubt
        Standard deviation of the factor before left-out prompts are asked.
    """
    depth, stretch = float(left_out.totals.mean()), 1.0 / amplitude
    # enlarged by the spread of the genes' noise and as errors of left-out prompts are, it promises too little on open sections
    open_ = depth * _open(maps, left)
    noise = maps.noise * (left.noise + depth * calibration.spot * left_out.level)
    variance = depth * stretch**2 * maps.averaged + _AVERAGED * open_ + noise
    claimed = np.sqrt(depth) * stretch * maps.covariance / np.sqrt(variance)
    shown = Shown.of(left_out, stretch)
    factor, unsure = _factor(shown, variance, doubt)
    # what is open may go with the map or against it, and the fewer patches the slide has the further
    by_place = _AVERAGED * open_ / variance / max(maps.n_spots / _PATCH, 1.0)
    error = np.sqrt(by_place + _ALIKE**2 + (unsure * claimed) ** 2)
    expected = np.clip(factor * claimed, -1.0, 1.0)
    return GeneTrust(expected, error, shown.says_nothing(factor), factor, float(unsure * claimed.mean()))


def _open(maps: GeneMaps, left: Posterior) -> Array:
    """(G,) mean variance of the whitened rates that is open where nothing was measured."""
    rows = maps.rows[even_subset(maps.rows.size, _MOST_OPEN)]
    return np.asarray(left.open(rows).mean(axis=0) @ left.loading)


def _factor(shown: Shown, variance: Array, doubt: float) -> tuple[float, float]:
    """Slope over all folds, drawn towards 1 by what it varies by without a fold, and its standard error."""
    n_folds = len(shown.both)
    if n_folds < _LEAST_FOLDS:
        return 1.0, doubt
    every = np.ones(n_folds, dtype=bool)
    others = np.array([shown.slope(variance, np.arange(n_folds) != number) for number in range(n_folds)])
    chance = (n_folds - 1) * float(others.var())
    weight = doubt**2 / (doubt**2 + chance)
    factor = 1.0 + weight * (shown.slope(variance, every) - 1.0)
    return float(np.clip(factor, _LEAST_FACTOR, _MOST_FACTOR)), float(np.sqrt(weight * chance))
