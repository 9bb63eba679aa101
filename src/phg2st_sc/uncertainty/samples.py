"""Maps that are as likely as the prediction: it, and deviations that hang together as its errors do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._evidence import Posterior
from .._row_blocks import RowBlocks
from ..models import Prediction

Array = NDArray[np.float64]

_LEAST = 1e-12


def with_samples(prediction: Prediction, n_samples: int, *, seed: int) -> Prediction:
    """The prediction with maps drawn from what is not known of it; as it is where its errors are not known.

    At every spot and gene they have the mean and the standard deviation of the prediction, on its own scale, cut off at zero:
    where the standard deviation is about as large as the prediction, that raises the mean. Errors of places that are close, or
    look alike, hang together as the covariance of the method says, and so do those of genes that share gene components of a
    cohort; without a cohort those of different genes are independent. What the rate of a single spot departs from its
    neighbors by is drawn for every spot by itself.

    Parameters
    ----------
    prediction
        Of a slide, as :func:`assess` returns it.
    n_samples
        How many maps.
    seed
        Of the drawing.
    """
    left, told = prediction.posterior, prediction.assessment
    if left is None or told is None or _keys.INTERVALS not in told.facts:
        return prediction
    numbers = np.where(left.shared, 1, left.root.shape[1])
    drawn = [
        (left.fields(numbers, one), int(one.integers(2**62))) for one in np.random.default_rng(seed).spawn(n_samples)
    ]
    kept = told.facts[_keys.INTERVALS]
    return prediction.but(samples=tuple(_sample(prediction, left, kept, *one) for one in drawn))


def _sample(
    prediction: Prediction,
    left: Posterior,
    kept: Mapping[str, Any],
    fields: Callable[[NDArray[np.int64]], list[Array]],
    seed: int,
) -> RowBlocks:
    mean, std = prediction.blocks, prediction.std_blocks
    if std is None:
        return mean

    def make(rows: slice) -> NDArray[np.float32]:
        spots = np.arange(rows.start, rows.stop)
        off = sum(values * root for values, root in zip(fields(spots), left.root, strict=True))
        off /= np.sqrt(np.maximum(left.variance(spots), _LEAST))
        predicted, wrong = mean.make(rows), std.make(rows)
        rate = np.expm1(predicted, dtype=np.float64)
        alone = np.sqrt(kept["alone"]) * np.maximum(rate, kept["least"]) / (1.0 + rate)
        shared = np.sqrt(np.maximum(wrong**2 - alone**2, 0.0))
        own = np.random.default_rng([seed, rows.start]).standard_normal(off.shape)
        return np.maximum(predicted + shared * off + np.minimum(alone, wrong) * own, 0.0).astype(np.float32)

    return RowBlocks(mean.n, mean.width, make, mean.step)
