"""Where a prediction can be trusted: its standard deviation, what the prompts explain of a spot, tissue unlike any prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .._arrays import Prediction, Prompts, SlideArrays
from .._evidence import LeftOut, Posterior
from .._row_blocks import RowBlocks
from ..linear import Standardized, even_subset, map_rows
from .calibration import LEAST_RATE, Calibration, calibrate

Array = NDArray[np.float64]

_FURTHEST = 0.99
"""Quantile of how far prompts are from the next one in the image, beyond which a spot looks like none."""
_N_COMPONENTS = 20
_MOST_PROMPTS, _MOST_SPOTS = 2000, 5000
"""That are looked at for it."""


@dataclass(frozen=True, eq=False)
class SpotErrors:
    """Errors of the predicted genes at the spots of a slide.

    Attributes
    ----------
    open
        (n, L) what the prompts leave open, by ratio of signal to noise.
    variance
        (L, G) variance over mean of predicted expression before its logarithm that belongs to each.
    least
        (G,) such expression that errors are never smaller than at it.
    calibration
        What left-out prompts say of it.
    trust
        (n,) share of what rates vary by from place to place that is explained, 0 to 1.
    unlike
        (n,) spots that look like no prompt; ``None`` without an image.
    depth
        Counts of the median prompt over all genes.
    """

    open: NDArray[np.float32]
    variance: Array
    least: Array
    calibration: Calibration
    trust: NDArray[np.float32]
    unlike: NDArray[np.bool_] | None
    depth: float

    def std(self, rows: slice, predicted: NDArray[np.float32]) -> NDArray[np.float32]:
        """(rows, G) standard deviation of the rates of some spots, on the scale of the prediction, log1p(s * rate)."""
        rate = np.expm1(predicted, dtype=np.float64)
        mean = np.maximum(rate, self.least)
        variance = (self.open[rows] @ self.variance + self.calibration.spot * mean) * mean
        return np.asarray(np.sqrt(variance) / (1.0 + rate), dtype=np.float32)

    def std_of(self, prediction: Prediction) -> RowBlocks:
        """The same of all spots, some at a time."""
        mean = prediction.blocks
        return RowBlocks(mean.n, mean.width, lambda rows: self.std(rows, mean.make(rows)), mean.step)

    def record(self) -> Mapping[str, Any]:
        """What intervals are made of, beside the standard deviation."""
        return {
            "least": self.least.astype(np.float32),
            "alone": self.calibration.spot.astype(np.float32),
            "curves": self.calibration.curves.values,
            "depth": self.depth,
            "n_left_out": self.calibration.n_prompts,
        }


def spot_errors(
    prediction: Prediction,
    slide: SlideArrays,
    prompts: Prompts,
    genes: NDArray[np.int64],
    left_out: LeftOut | None,
    left: Posterior,
) -> SpotErrors:
    """What is known of the errors of a prediction.

    Parameters
    ----------
    prediction
        Of some genes of the panel.
    slide, prompts
        From which it was made; some prompt has counts.
    genes
        Which genes.
    left_out
        Prompts that were left out, over the same genes; ``None`` where they are too few, and errors are taken as usual.
    left
        What the prompts leave open, over the same genes.
    """
    panel, totals = prompts.counts.sum(axis=0, dtype=np.float64), prompts.totals
    level = np.maximum(panel[genes], 0.5) / panel.sum()
    scale = prompts.panel_share * prompts.target_sum
    calibration = calibrate(left_out, left, slide.positions, level)
    opened = left.open(np.arange(slide.n_spots)).astype(np.float32)
    whitened = left.loading * calibration.rate
    explained = 1.0 - opened @ whitened.sum(axis=1) / max(calibration.signal, 1e-300)
    return SpotErrors(
        opened,
        whitened * left.noise * scale,
        LEAST_RATE * level * scale,
        calibration,
        np.clip(explained, 0.0, 1.0).astype(np.float32),
        None if slide.features is None else unlike_prompts(slide.features, prompts.index),
        float(np.median(totals[totals > 0])),
    )


def unlike_prompts(features: NDArray[np.float32], index: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(n,) spots that are further from the next prompt in the image than all but one prompt in a hundred is.

    Parameters
    ----------
    features
        (n, d) image features.
    index
        (p,) the prompts.
    """
    index = index[even_subset(index.size, _MOST_PROMPTS)]
    if index.size < 2:
        return np.zeros(len(features), dtype=bool)
    looks = _components(features)
    tree = cKDTree(looks[index])
    usual = np.quantile(tree.query(looks[index], k=2)[0][:, 1], _FURTHEST)
    return np.asarray(tree.query(looks)[0] > usual)


def _components(features: NDArray[np.float32]) -> Array:
    """(n, k) leading principal components, their directions found on some of the spots where there are many."""
    values = Standardized.of(features)
    few = values[even_subset(len(features), _MOST_SPOTS)]
    _, vectors = np.linalg.eigh(few.T @ few)
    kept = vectors[:, -_N_COMPONENTS:]
    return map_rows(values, lambda block: block @ kept, kept.shape[1])
