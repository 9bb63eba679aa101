"""Maps that are as likely as the prediction: it, and deviations that hang together as its errors do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._arrays import Prompts, SlideArrays
from .._evidence import Posterior
from .._row_blocks import RowBlocks
from ..models import Prediction
from .by_place import by_place

Array = NDArray[np.float64]

_LEAST = 1e-12


def with_samples(
    prediction: Prediction,
    slide: SlideArrays,
    prompts: Prompts,
    genes: NDArray[np.int64],
    n_samples: int,
    *,
    seed: int,
) -> Prediction:
    """The prediction with maps drawn from what is not known of it; as it is where it has no standard deviation.

    At every spot and gene they have the mean and the standard deviation of the prediction, on its own scale and not below
    zero. Errors of places that are close, or look alike, hang together as the covariance of the method says, and so do those of
    genes that share gene components of a cohort; without a cohort those of different genes are independent. What the rate of a
    single spot departs from its neighbors by is drawn for every spot by itself.

    Parameters
    ----------
    prediction
        Of the slide, with a standard deviation.
    slide, prompts
        From what it was made.
    genes
        Which genes of the panel are predicted.
    n_samples
        How many maps.
    seed
        Of the drawing.
    """
    if prediction.std_blocks is None:
        return prediction
    left = prediction.posterior or by_place(slide, prompts).take(genes)
    numbers = np.where(left.shared, 1, left.root.shape[1])
    drawn = [
        (left.fields(numbers, one), int(one.integers(2**62))) for one in np.random.default_rng(seed).spawn(n_samples)
    ]
    return prediction.but(samples=tuple(_sample(prediction, left, *one) for one in drawn))


def _sample(
    prediction: Prediction, left: Posterior, fields: Callable[[NDArray[np.int64]], list[Array]], seed: int
) -> RowBlocks:
    mean, std, told = prediction.blocks, prediction.std_blocks, prediction.assessment
    if std is None or told is None:
        return mean
    kept = told.facts[_keys.INTERVALS]

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
