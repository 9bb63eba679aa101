"""A slide as those who plan a measurement see it: under the covariance that its prompts, or a cohort, ask for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..._arrays import Prompts, SlideArrays
from ...design import Survey
from .depth import expected_noise
from .form import COHORT, LEAST_AGREEMENT, SLIDE, Predictor, looked_at

_USUAL_RATIO = 1.0
"""Signal-to-noise ratio where no prompts tell: which spots come first hardly depends on it."""
_RATIOS = (0.3, 3.0)
"""Within which that of the typical gene or component is kept: what is mostly noise asks for no other places."""
_BELIEVED = 0.5
"""Power of noise variances that counts: deep spots are of some tissues more than of others, and all are to be predicted."""


def survey(predictor: Predictor, slide: SlideArrays, prompts: Prompts | None) -> Survey:
    """The covariance of a slide, what was measured of it, and how noisy measurements to come will be.

    Parameters
    ----------
    predictor
        Of the default method.
    slide
        The slide.
    prompts
        Measured so far; ``None`` for none.
    """
    slide = looked_at(slide, predictor.without)
    forms = predictor.encode(slide).linear
    known = predictor.knowledge
    if prompts is None:
        prompts = _no_prompts(2 if known is None else known.levels.size)
    strange = prompts.n_prompts and predictor.level_agreement(prompts) < LEAST_AGREEMENT
    form = forms[SLIDE] if strange else forms.get(COHORT, forms[SLIDE])
    working = predictor.working_of(prompts)
    out = predictor.conditioned(form, working)
    ratio = float(np.clip(np.median(out.ratio), *_RATIOS)) if working.index.size else _USUAL_RATIO
    covariance = replace(out.covariance, ratio=ratio)
    noise = expected_noise(slide, form.places, covariance.kernel, working)
    return Survey(form.places, covariance, working.index, working.noise**_BELIEVED, noise**_BELIEVED)


def _no_prompts(n_genes: int) -> Prompts:
    return Prompts(np.zeros(0, np.int64), np.zeros((0, n_genes), np.float32), np.zeros(0), 1.0, ("",) * n_genes)
