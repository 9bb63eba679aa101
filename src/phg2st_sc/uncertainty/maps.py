"""What a prediction looks like where nothing was measured, gene by gene, as the scores see it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from .._arrays import SlideArrays
from ..metrics import neighbor_operator
from ..models import Prediction

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_SPOTS = 5000
_GENES = 1024
"""Genes that are worked on at a time."""


@dataclass(frozen=True, eq=False)
class GeneMaps:
    """Moments of predicted maps over spots that were not measured.

    Attributes
    ----------
    rows
        Spots that they were taken over.
    n_spots
        Spots that were not measured, of all.
    averaged
        (G,) variance of the whitened prediction, averaged over neighbors as the truth is.
    covariance
        (G,) covariance of that with the prediction as it is returned, over the standard deviation of the latter.
    noise
        Variance of counting noise of unit variance after that.
    """

    rows: Index
    n_spots: int
    averaged: Array
    covariance: Array
    noise: float

    @classmethod
    def of(cls, prediction: Prediction, slide: SlideArrays, prompts: Index, *, scale: float) -> GeneMaps | None:
        """Moments of a prediction; ``None`` where every spot was measured.

        Parameters
        ----------
        prediction
            Of the slide.
        slide
            Its places.
        prompts
            Spots that were measured.
        scale
            Expression of a gene that had all counts of the panel.
        """
        open_ = np.setdiff1d(np.arange(slide.n_spots), prompts)
        if open_.size < 3:
            return None
        blocks = _chosen(prediction, open_)
        rows = np.concatenate([open_[(open_ >= one.start) & (open_ < one.stop)] for one in blocks])
        values = np.concatenate([prediction.blocks.make(one)[_inside(rows, one)] for one in blocks])
        near = neighbor_operator(slide.positions[rows])
        size = near.sum(axis=1)
        mean = sparse.csr_array(near.multiply(1.0 / size[:, None]))
        parts = [
            _moments(values[:, start : start + _GENES], mean, scale) for start in range(0, values.shape[1], _GENES)
        ]
        averaged, covariance = (np.concatenate(one) for one in zip(*parts, strict=True))
        return cls(rows, open_.size, averaged, covariance, float((1.0 / size).mean()))


def _chosen(prediction: Prediction, open_: Index) -> list[slice]:
    """Blocks of the prediction: all, or some of the way through a large slide."""
    slices = [one for one in prediction.blocks.slices() if ((open_ >= one.start) & (open_ < one.stop)).any()]
    number = max(_MOST_SPOTS // prediction.blocks.step, 1)
    if len(slices) <= number:
        return slices
    return [slices[at] for at in np.unique(np.linspace(0, len(slices) - 1, number).astype(np.int64))]


def _inside(rows: Index, block: slice) -> Index:
    return np.asarray(rows[(rows >= block.start) & (rows < block.stop)] - block.start)


def _moments(values: NDArray[np.float32], mean: sparse.csr_array, scale: float) -> tuple[Array, Array]:
    log = values.astype(np.float64)
    share = np.expm1(log) / scale
    level = np.maximum(share.mean(axis=0), 1e-12)
    whitened = (share - level) / np.sqrt(level)
    around = mean @ whitened
    around -= around.mean(axis=0)
    log -= log.mean(axis=0)
    spread, own, averaged = log.std(axis=0), whitened.std(axis=0), (around**2).mean(axis=0)
    both = (around * log).mean(axis=0)
    varies = (spread > 1e-6) & (own > 0)
    covariance = np.divide(both, spread, out=np.zeros_like(both), where=varies)
    return averaged, covariance
