"""Which genes can be relied on: a false discovery rate from expected correlations and their standard errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

Array = NDArray[np.float64]


def chances_below(expected: Array, error: Array, nothing: Array, least: float) -> Array:
    """(G,) chance that the correlation of a gene is no more than ``least``; NaN where nothing is known of it.

    It is 0 with the chance ``nothing``, else about ``expected``.
    """
    e, s, none = (np.asarray(one, dtype=np.float64) for one in (expected, error, nothing))
    below = norm.cdf((least - e) / s)
    return np.asarray(none * (least >= 0) + (1.0 - none) * below)


def discoveries(chances: Array, fdr: float) -> NDArray[np.int64]:
    """Genes, the surest first, of which on average at most a share ``fdr`` is wrong.

    The mean chance of being wrong over a list is the share of it that is expected to be (Newton et al. 2004); the
    longest list with a mean of at most ``fdr`` is returned.
    """
    known = np.flatnonzero(np.isfinite(chances))
    order = known[np.argsort(chances[known], kind="stable")]
    wrong = np.cumsum(chances[order]) / np.arange(1, order.size + 1)
    return np.asarray(order[: int((wrong <= fdr).sum())], dtype=np.int64)
