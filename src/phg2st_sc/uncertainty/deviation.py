"""Standard deviation of predicted rates: what the covariance leaves open, as far as left-out prompts say that it is true."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._evidence import LeftOut, Posterior
from .._row_blocks import RowBlocks, block_rows
from ..models import Prediction

Array = NDArray[np.float64]

_CLIP = 10.0
"""Standard deviations of the counting noise beyond which single counts are outliers."""
_LEAST, _MOST = 0.1, 10.0


def error_factor(left_out: LeftOut, left: Posterior) -> float:
    """Factor by which errors at left-out prompts are larger than the covariance says, beyond counting noise."""
    noise = 1.0 / left_out.totals[:, None]
    squares = np.minimum(whitened_errors(left_out) ** 2, _CLIP**2 * noise)
    expected = left.at_left_out(left_out) @ left.loading
    beyond = float(((squares - noise) / noise).sum())
    return float(np.clip(np.sqrt(max(beyond, 0.0) / max(float((expected / noise).sum()), 1e-300)), _LEAST, _MOST))


def whitened_errors(left_out: LeftOut) -> Array:
    """(p, G) measured less predicted shares at the left-out prompts; counting noise has the variance 1 / total."""
    error = left_out.counts / left_out.totals[:, None] - left_out.rate
    return np.asarray(error / _unit(left_out), dtype=np.float64)


def deviation(prediction: Prediction, left_out: LeftOut, left: Posterior, factor: float, scale: float) -> RowBlocks:
    """(n, G) standard deviation on the scale of the prediction, by the slope of log1p(s * rate).

    Parameters
    ----------
    prediction
        Of the slide.
    left_out, left, factor
        Levels of the genes, what the prompts leave open, and :func:`error_factor`.
    scale
        Expression of a gene that had all counts of the panel.
    """
    mean, level = prediction.blocks, scale * left_out.level
    relative = factor * _unit(left_out) / left_out.level

    def make(rows: slice) -> NDArray[np.float32]:
        rate = np.expm1(mean.make(rows), dtype=np.float64)
        open_ = np.sqrt(left.variance(np.arange(rows.start, rows.stop)))
        return np.asarray(np.minimum(rate, level) * relative * open_ / (1.0 + rate), dtype=np.float32)

    return RowBlocks(mean.n, mean.width, make, block_rows(mean.width))


def _unit(left_out: LeftOut) -> Array:
    """(G,) rate that a whitened rate of 1 is."""
    spread = 1.0 if left_out.spread is None else left_out.spread
    return np.asarray(np.sqrt(left_out.level) * spread)
