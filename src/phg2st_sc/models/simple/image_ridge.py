"""ImageRidge: expression from the image features alone, at the level of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ..._docs import documented
from ...linear import (
    PRIOR_COUNTS,
    CohortRegression,
    GeneLevels,
    Working,
    check_training,
    cohort_levels,
    image_components,
    learn_cohort_regression,
    standardized_features,
    within_slide,
)
from .._base import Estimator
from .._limits import AtLeast
from .._registry import register

Array = NDArray[np.float64]


@register
@documented
class ImageRidge(Estimator):
    """Ridge of whitened rates on image components.

    Single-slide form: principal components of the slide's own features, weighted ridge on the prompts, penalty by
    leave-one-out error. Fitted on training slides: features standardised within each slide, pooled principal components
    (as they are, or through exponential radial features), penalty by leaving patients out; on a new slide the level comes
    from the prompts (the slide offset), and so does the amplitude.

    Parameters
    ----------
    n_components
        Pooled components of the cohort form. The single-slide form uses at most 20.
    {seed}
        That is the landmarks of the radial features.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, progress=False)
    >>> phg2st.pp.extract_embeddings(adata, image="hires", encoder="texture", progress=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="image_ridge").shape
    (60, 30)
    """

    name = "image_ridge"
    kind = "simple"
    limits: ClassVar = {"n_components": AtLeast(0)}
    needs_image = True
    min_prompts = 4
    learns: ClassVar = {"levels": GeneLevels | None, "regression": CohortRegression | None}
    always_learned = ("levels",)

    def __init__(self, *, n_components: int = 50, seed: int = 0) -> None:
        self.n_components, self.seed = n_components, seed
        self.levels: Array | None = None
        self.regression: CohortRegression | None = None

    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn gene levels and the regression from training slides; those without an image teach levels only."""
        self.genes = check_training(slides, self.name)
        self.levels = cohort_levels(slides)
        self.regression = learn_cohort_regression(
            slides, n_components=self.n_components, seed=self.seed, method=self.name
        )
        return self

    def encode(self, slide: SlideArrays) -> Array:
        """Image components, or the cohort regression's predictions."""
        features = standardized_features(slide, self.name)
        return image_components(features) if self.regression is None else self.regression.predict(features)

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self._predict(slide, prompts, None)

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel; the others are worked out too."""
        return self._predict(slide, prompts, genes)

    def _predict(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64] | None) -> Prediction:
        working = Working.of(prompts, prior=self.levels, prior_counts=PRIOR_COUNTS)
        encoded = self._encoded(slide)
        if self.regression is None:
            whitened, _ = within_slide(encoded, working.index, working.values, working.noise)
            return working.finish(whitened, genes=genes)
        whitened, amplitude = at_prompt_level(encoded, working)
        return working.finish(whitened, details={"amplitude": amplitude}, genes=genes)


def at_prompt_level(cohort: Array, working: Working) -> tuple[Array, float]:
    """Bring cohort predictions (n, G) to the level of the prompts, and to the amplitude seen there (0 to 1.5).

    Without prompts they are left as they are.
    """
    if working.index.size == 0:
        return cohort, 1.0
    weight = 1.0 / working.noise
    here = cohort[working.index]
    center = weight @ here / weight.sum()
    here = here - center
    power = float((weight[:, None] * here**2).sum())
    cross = float((weight[:, None] * here * working.values).sum())
    amplitude = float(np.clip(cross / power, 0.0, 1.5)) if power > 0 else 0.0
    return amplitude * (cohort - center), amplitude
