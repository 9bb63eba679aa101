"""Prompts that are left out in turn, to see how a method predicts what it has not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from .._arrays import Prompts, SlideArrays
from ._folds import matched_folds
from ._judge import even_subset

MIN_TO_LEAVE_OUT = 10
"""Prompts below which none are left out: they cannot tell predictions apart."""
_MOST = 300
"""Prompts that are left out: an even subset when there are more."""
_MOST_SPOTS = 2000
"""Spots of a slide that methods are compared on: enough for its image components, few enough for a slide of any size."""


def left_out_prompts(
    slide: SlideArrays, prompts: Prompts, *, seed: int
) -> tuple[NDArray[np.int64], Prompts, NDArray[np.int64]]:
    """Prompts that are left out in turn: their spots, themselves as if the slide had no other spots, and their folds."""
    few = prompts.subset(even_subset(prompts.n_prompts, _MOST))
    folds = matched_folds(slide.positions, few.index, seed=seed)
    return few.index, replace(few, index=np.arange(few.n_prompts)), folds


def around_prompts(slide: SlideArrays, prompts: Prompts) -> tuple[SlideArrays, Prompts]:
    """The slide with all prompts and an even subset of its other spots."""
    if slide.n_spots <= _MOST_SPOTS:
        return slide, prompts
    others = np.setdiff1d(np.arange(slide.n_spots), prompts.index)
    kept = np.union1d(prompts.index, others[even_subset(others.size, max(0, _MOST_SPOTS - prompts.n_prompts))])
    return slide.take(kept), replace(prompts, index=np.searchsorted(kept, prompts.index))
