"""How any method predicts prompts that it has not seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._arrays import Prompts, SlideArrays
from .._evidence import LeftOut
from .._progress import part
from ..linear import MIN_TO_LEAVE_OUT, around_prompts, left_out_prompts
from ..models import Estimator, Prediction


def leave_out(estimator: Estimator, slide: SlideArrays, prompts: Prompts, *, seed: int) -> LeftOut | None:
    """Leave prompts out in turn and predict them; ``None`` where there are too few.

    Folds are as far from the other prompts as unmeasured spots are. Of a method that trains a network for every slide only the
    first fold is left out.

    Parameters
    ----------
    estimator
        Method or model.
    slide
        The slide.
    prompts
        Its prompts.
    seed
        Of the folds.
    """
    if prompts.n_prompts < max(MIN_TO_LEAVE_OUT, estimator.min_prompts + 1):
        return None
    spots, few, folds = left_out_prompts(slide, prompts, seed=seed)
    smaller, few = around_prompts(slide, prompts.subset(np.searchsorted(prompts.index, spots)))
    numbers = np.unique(folds)[: 1 if estimator.trains_alone and not estimator.is_fitted else None]
    made = [
        _fold(estimator, smaller, few, folds == number)
        for number in part(numbers, desc="leave prompts out", unit="fold")
    ]
    rows = np.concatenate([np.flatnonzero(folds == number) for number in numbers])
    counts = few.counts[rows]
    totals = counts.sum(axis=1, dtype=np.float64)
    return LeftOut(spots[rows], folds[rows], counts, totals, np.vstack(made), among=spots).where(totals > 0)


def _fold(
    estimator: Estimator, slide: SlideArrays, prompts: Prompts, held_out: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """(rows, G) predicted shares of the prompts that are held out."""
    kept = prompts.subset(np.flatnonzero(~held_out))
    made = estimator.adapt(slide, kept).predict(slide, kept)
    return shares(made, prompts.index[held_out], prompts.target_sum)


def shares(prediction: Prediction, rows: NDArray[np.int64], target_sum: float) -> NDArray[np.float32]:
    """(rows, G) predicted shares of the panel's counts at some spots."""
    out = np.empty((rows.size, prediction.shape[1]), dtype=np.float32)
    for block, values in prediction.blocks.parts():
        here = np.flatnonzero((rows >= block.start) & (rows < block.stop))
        if here.size:
            rate = np.expm1(values[rows[here] - block.start], dtype=np.float64) / target_sum
            out[here] = rate / np.maximum(rate.sum(axis=1, keepdims=True), 1e-300)
    return out
