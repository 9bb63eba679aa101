"""How far the prediction of a slide can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._arrays import Prompts, SlideArrays
from .._evidence import Assessment
from ..models import Estimator, Prediction
from .by_place import by_place
from .leave_out import leave_out
from .spots import spot_errors
from .told import told_of_genes


def assess(
    prediction: Prediction,
    estimator: Estimator,
    slide: SlideArrays,
    prompts: Prompts,
    genes: NDArray[np.int64],
    *,
    seed: int,
) -> Prediction:
    """The prediction with what is known of its errors; as it is where nothing tells of them: too few prompts, and no model.

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
    if not prompts.counts.any() or (left_out is None and not estimator.is_fitted):
        said = {
            "sentence": f"{prompts.n_prompts} prompts are too few to leave some out and see how they are predicted."
        }
        return prediction.but(assessment=Assessment({}, {}, said))
    left = prediction.posterior or by_place(slide, prompts).take(genes)
    errors = spot_errors(prediction, slide, prompts, genes, left_out, left)
    spots: dict[str, NDArray[Any]] = {_keys.TRUST: errors.trust}
    if errors.unlike is not None:
        spots[_keys.UNLIKE] = errors.unlike
    facts: dict[str, Any] = {"n_left_out": errors.calibration.n_prompts, _keys.INTERVALS: errors.record()}
    genes_told = told_of_genes(prediction, slide, prompts, left_out, left, errors.calibration)
    facts |= genes_told.facts
    if left_out is None:
        facts["sentence"] = f"{prompts.n_prompts} prompts are too few to leave some out: errors are taken as usual."
    return prediction.but(
        std=errors.std_of(prediction), posterior=left, assessment=Assessment(genes_told.columns, spots, facts)
    )
