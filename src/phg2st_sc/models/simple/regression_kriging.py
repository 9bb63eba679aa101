"""RegressionKriging: what the image says, plus kriging of what it misses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ..._docs import documented
from ...linear import (
    CohortRegression,
    Rows,
    Working,
    check_training,
    image_components,
    learn_cohort_regression,
    standardized_features,
    within_slide,
)
from .._limits import AtLeast
from .._registry import register
from ._kriging_base import Kriged, KrigingEstimator
from .image_ridge import at_prompt_level

Array = NDArray[np.float64]

_OUTSIDE_BASIS = 0.2
"""Weight of the regression outside the gene components, where it mostly fits noise."""


@register
@documented
class RegressionKriging(KrigingEstimator):
    """Image regression, then kriging of the residuals at the prompts by position.

    Single-slide form: ridge on the prompts; the residuals that are kriged are the leave-one-out ones, since in-sample
    residuals are too small. Fitted on training slides: the cohort's image regression at the level and amplitude of the
    prompts, and residual kriging in the cohort's gene components.

    Parameters
    ----------
    {n_components:genes}
    n_image_components
        Pooled image components of the cohort regression.
    {length_scale} {ratio} {seed}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, progress=False)
    >>> phg2st.pp.extract_embeddings(adata, image="hires", encoder="texture", progress=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="regression_kriging").shape
    (60, 30)
    """

    name = "regression_kriging"
    limits: ClassVar = {"n_image_components": AtLeast(1)}
    needs_image = True
    min_prompts = 4
    learns: ClassVar = {**KrigingEstimator.learns, "regression": CohortRegression | None}

    def __init__(
        self,
        *,
        n_components: int = 30,
        n_image_components: int = 50,
        length_scale: float | None = None,
        ratio: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(length_scale=length_scale, ratio=ratio, n_components=n_components, seed=seed)
        self.n_image_components = n_image_components
        self.regression: CohortRegression | None = None

    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn levels, gene components, covariance and image regression from training slides."""
        check_training(slides, self.name)
        self.regression = learn_cohort_regression(
            slides, n_components=self.n_image_components, seed=self.seed, method=self.name
        )
        super().fit(slides)
        return self

    def _predict(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64] | None) -> Prediction:
        features = standardized_features(slide, self.name)
        working = self._working(prompts)
        if self.regression is None:
            trend, left_out = within_slide(image_components(features), working.index, working.values, working.noise)
            residual = self._krige(self._encoded(slide), working, working.values - left_out)
            return _about(trend, residual, working, genes)
        trend, amplitude = at_prompt_level(self._trend(slide, features), working)
        residual = self._krige(self._encoded(slide), working, working.values - trend[working.index])
        return _about(trend, residual, working, genes, image_amplitude=amplitude)

    def _trend(self, slide: SlideArrays, features: Rows) -> Array:
        if self.regression is None:
            return np.zeros((slide.n_spots, 0))
        trend = self.regression.predict(features)
        if self.basis is None:
            return trend
        return _OUTSIDE_BASIS * trend + (1.0 - _OUTSIDE_BASIS) * (trend @ self.basis.vectors) @ self.basis.vectors.T


def _about(
    trend: Array, residual: Kriged, working: Working, genes: NDArray[np.int64] | None, **details: Any
) -> Prediction:
    field = residual.field.change(lambda values, rows: trend[rows] + values)
    return working.finish(field, details={**residual.details, **details}, genes=genes, posterior=residual.posterior)
