"""BestSimple: the simple method that predicts the slide's own left-out prompts best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays
from ..._docs import documented
from ...linear import Record, around_prompts, matched_folds
from .._base import Estimator, predict_genes
from .._registry import METHODS, get_method, register
from ._compare import compare

CANDIDATES = (
    "space_image_kriging",
    "kriging",
    "gene_kriging",
    "regression_kriging",
    "image_ridge",
    "idw",
    "prompt_mean",
)
"""In order of preference: the first that can run is kept unless another is clearly better."""
MIN_TO_COMPARE = 10
"""Prompts below which the preferred method is taken without a comparison."""
_MAX_COMPARED = 600


@register
@documented
class BestSimple(Estimator):
    """Choose among the single-slide methods by cross-validation over the slide's prompts.

    Every prompt is predicted from prompts of other folds, which are as far from it as unmeasured spots are from prompts.
    The preferred method (space + image kriging where there is an image, else kriging) gives way only to
    one that beats it by two standard errors both in the squares of whitened rates that it explains and in the correlation
    over genes; with fewer than 10 prompts it is taken as it is.

    Parameters
    ----------
    candidates
        Methods to choose from, the preferred first.
    {seed}
        That is the folds.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, n_genes=30, image=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.predict(adata, method="best_simple", candidates=["kriging", "idw"]).shape
    (60, 30)
    """

    name = "best_simple"
    kind = "choice"
    uses_image = True

    def __init__(self, *, candidates: Sequence[str] = CANDIDATES, seed: int = 0) -> None:
        self.candidates, self.seed = tuple(candidates), seed
        self.trains_alone = any(METHODS[name].trains_alone for name in self.candidates if name in METHODS)

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self.predict_genes(slide, prompts, np.arange(prompts.n_genes))

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel by the method that predicts all of it best."""
        methods = self._able(slide, prompts)
        chosen, scores = methods[0], {}
        if prompts.n_prompts >= MIN_TO_COMPARE and len(methods) > 1:
            records = self._compare(methods, slide, prompts)
            scores = {m.name: record.scores for m, record in zip(methods, records, strict=True)}
            chosen = methods[_pick(methods, records)]
        prediction = predict_genes(chosen, slide, prompts, genes)
        return prediction.but(details={"chosen": chosen.name, "compared": scores, **prediction.details})

    def _able(self, slide: SlideArrays, prompts: Prompts) -> list[Estimator]:
        classes = [get_method(name) for name in self.candidates]
        able = [
            c()
            for c in classes
            if not (c.needs_image and slide.features is None)
            and (prompts.n_prompts >= c.min_prompts or c.name == "prompt_mean")
        ]
        if not able:
            msg = f"None of the methods {', '.join(self.candidates)} can run on slide {slide.name!r} with {prompts.n_prompts} prompts."
            raise ValueError(msg)
        return able

    def _compare(self, methods: Sequence[Estimator], slide: SlideArrays, prompts: Prompts) -> list[Record]:
        kept = np.linspace(0, prompts.n_prompts - 1, min(prompts.n_prompts, _MAX_COMPARED)).astype(np.int64)
        slide, prompts = around_prompts(slide, prompts.subset(np.unique(kept)))
        folds = matched_folds(slide.positions, prompts.index, seed=self.seed)
        return compare(methods, slide, prompts, folds)


def _pick(methods: Sequence[Estimator], records: Sequence[Record]) -> int:
    """Position of the method to use: the best correlated of those that clearly beat the preferred one, if any."""
    better = [position for position, record in enumerate(records) if record.beats(records[0])]
    return max(better, key=lambda position: float(records[position].correlation.mean()), default=0)
