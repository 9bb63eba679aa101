"""Maps that are as likely as the prediction: it, and deviations that hang together as its errors do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .._arrays import RowBlocks
from .._evidence import Posterior
from ..models import Prediction

Array = NDArray[np.float64]

_LEAST = 1e-12


def draw_samples(prediction: Prediction, left: Posterior, n_samples: int, *, seed: int) -> list[RowBlocks]:
    """Draw maps of a prediction with a standard deviation.

    At every spot and gene they have the mean and the standard deviation of the prediction, on its own scale and not below
    zero. Errors of places that are close, or look alike, hang together as the covariance of the method says, and so do those of
    genes that share gene components of a cohort; without a cohort those of different genes are independent.

    Parameters
    ----------
    prediction
        Of the slide, with a standard deviation.
    left
        What the prompts leave open.
    n_samples
        How many.
    seed
        Of the drawing.
    """
    rng = np.random.default_rng(seed)
    n_genes = left.root.shape[1]
    numbers = np.where(left.shared, 1, n_genes)
    return [_sample(prediction, left, left.fields(numbers, one)) for one in rng.spawn(n_samples)]


def _sample(prediction: Prediction, left: Posterior, fields: Callable[[NDArray[np.int64]], list[Array]]) -> RowBlocks:
    mean, std = prediction.blocks, prediction.std_blocks
    if std is None:
        raise ValueError("Samples need a prediction with a standard deviation.")

    def make(rows: slice) -> NDArray[np.float32]:
        spots = np.arange(rows.start, rows.stop)
        off = sum(values * root for values, root in zip(fields(spots), left.root, strict=True))
        off /= np.sqrt(np.maximum(left.variance(spots), _LEAST))
        return np.maximum(mean.make(rows) + std.make(rows) * off, 0.0).astype(np.float32)

    return RowBlocks(mean.n, mean.width, make, mean.step)
