"""How far the prediction of a slide can be trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._arrays import Prompts, SlideArrays
from .._evidence import Assessment, Posterior
from ..models import Estimator, Prediction
from .by_place import by_place
from .deviation import deviation, error_factor
from .leave_out import leave_out


def assess(
    prediction: Prediction,
    estimator: Estimator,
    slide: SlideArrays,
    prompts: Prompts,
    genes: NDArray[np.int64],
    *,
    seed: int,
) -> Prediction:
    """The prediction with what is known of its errors; as it is where too few prompts can be left out to tell.

    Parameters
    ----------
    prediction
        Of the slide, some genes of the panel.
    estimator
        What predicted it.
    slide, prompts
        From what.
    genes
        Which genes of the panel are predicted.
    seed
        Of the prompts that are left out, where the method did not do that anyway.
    """
    left_out = prediction.left_out
    if left_out is None:
        found = leave_out(estimator, slide, prompts, seed=seed)
        left_out = None if found is None else found.take(genes)
    if left_out is None:
        said = {
            "sentence": f"{prompts.n_prompts} prompts are too few to leave some out and see how they are predicted."
        }
        return prediction.but(assessment=Assessment({}, {}, said))
    left = prediction.posterior or by_place(slide, prompts).take(genes)
    factor = error_factor(left_out, left)
    std = deviation(prediction, left_out, left, factor, _share(prompts) * prompts.target_sum)
    facts = {"n_left_out": left_out.spots.size, "error_factor": factor}
    return prediction.but(std=std, assessment=Assessment({}, {_keys.TRUST: _told(slide, left)}, facts))


def _share(prompts: Prompts) -> float:
    everything = float(prompts.totals.sum())
    return float(prompts.counts.sum(dtype=np.float64)) / everything if everything > 0 else 1.0


def _told(slide: SlideArrays, left: Posterior) -> NDArray[np.float32]:
    """(n,) share of what varies over the slide that the prompts tell of a spot, 0 to 1."""
    weight = left.loading.sum(axis=1)
    open_share = left.open(np.arange(slide.n_spots)) @ weight / weight.sum()
    return np.asarray(1.0 - np.clip(open_share, 0.0, 1.0), dtype=np.float32)
