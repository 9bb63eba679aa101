"""PromptMean: the level of the prompts, everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ...linear import PRIOR_COUNTS, GeneLevels, Working, check_training, cohort_levels
from .._base import Estimator
from .._registry import register


@register
class PromptMean(Estimator):
    """Every spot is predicted as the pooled rate of the prompts (counts added up, so deep prompts weigh more).

    The floor of every comparison: it knows levels and no places. Fitted on training slides, the cohort's levels stand in
    for genes that the prompts barely saw, and for missing prompts.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="prompt_mean").shape
    (60, 30)
    """

    name = "prompt_mean"
    learns: ClassVar = {"levels": GeneLevels | None}
    always_learned = ("levels",)
    kind = "simple"

    def __init__(self) -> None:
        self.levels: NDArray[np.float64] | None = None

    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn gene levels from training slides."""
        self.genes = check_training(slides, self.name)
        self.levels = cohort_levels(slides)
        return self

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self._predict(slide, prompts, None)

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel."""
        return self._predict(slide, prompts, genes)

    def _predict(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64] | None) -> Prediction:
        working = Working.of(_pooled(prompts), prior=self.levels, prior_counts=PRIOR_COUNTS)
        return working.finish(np.broadcast_to(0.0, (slide.n_spots, prompts.n_genes)), genes=genes)


def _pooled(prompts: Prompts) -> Prompts:
    """All prompts as one: their level is the same, and takes no more than a row."""
    used = np.asarray(prompts.counts.any(axis=1))
    if not used.any():
        return prompts
    counts = prompts.counts.sum(axis=0, dtype=np.float64, where=used[:, None])[None]
    return replace(prompts, index=prompts.index[:1], counts=counts, totals=prompts.totals[used].sum()[None])
