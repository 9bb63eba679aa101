"""Whether prompts and a cohort are of one tissue, by the levels of their genes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

Array = NDArray[np.float64]

_COUNTS_TO_AGREE = 1000
"""Counts at the prompts from which on levels of genes can be compared."""


def level_agreement(counts: Array, levels: Array) -> float | None:
    """Rank correlation of the genes' levels between prompts and cohort; ``None`` where there is too little to compare.

    Parameters
    ----------
    counts
        (G,) of all prompts together.
    levels
        (G,) of the cohort, or shares of its counts.
    """
    if counts.sum() < _COUNTS_TO_AGREE or np.ptp(counts) == 0 or np.ptp(levels) == 0:
        return None
    return float(spearmanr(counts, levels).statistic)
