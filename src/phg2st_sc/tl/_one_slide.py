"""One slide: what a method is asked of it, and its answer, looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .._reading import Measured, Panel
from ._results import MOST_IN_MEMORY

if TYPE_CHECKING:
    from .._arrays import Prompts, SlideArrays
    from ..models import Estimator, Prediction


@dataclass(frozen=True, eq=False)
class Question:
    """The prompts of one slide, and what is to be predicted from them.

    Attributes
    ----------
    n_spots
        Of the slide.
    prompts
        Over the panel; without a trained model over the genes of it that the slide measured.
    genes
        Positions among those of the genes that are returned.
    lacking
        (genes,) which of all that are returned the slide did not measure.
    assessed
        Whether it is also asked how far the prediction can be trusted.
    n_samples
        Maps to draw from what is not known.
    seed
        Of the prompts that are left out for that, and of the maps.
    """

    n_spots: int
    prompts: Prompts
    genes: NDArray[np.int64]
    lacking: NDArray[np.bool_]
    assessed: bool = False
    n_samples: int = 0
    seed: int = 0

    @classmethod
    def of(
        cls, measured: Measured, estimator: Estimator, panel: Panel, shown: NDArray[np.int64], target_sum: float
    ) -> Question:
        """What is asked of a slide."""
        lacking = panel.lacking(measured)
        # a model knows its genes; a method without one learns from what was measured here
        seen = panel if estimator.genes is not None else panel.take(~lacking)
        if len(seen.genes) < 2:
            msg = (
                f"Slide {measured.slide.name!r} measured {len(seen.genes)} of the {len(panel.genes)} genes of the panel, and predictions "
                "need two: a gene is predicted relative to the others. Choose genes that all slides measured, "
                "`phg2st_sc.pp.select_genes(data, slide_key=...)`, or predict this slide by itself."
            )
            raise ValueError(msg)
        there = shown[~lacking[shown]]
        genes = there if estimator.genes is not None else np.cumsum(~lacking)[there] - 1
        return cls(measured.slide.n_spots, seen.prompts(measured, target_sum), genes, lacking[shown])

    def answer(self, estimator: Estimator, arrays: SlideArrays) -> Prediction:
        """What a method predicts from the image side of the slide and these prompts."""
        from ..models import predict_genes

        prediction = predict_genes(estimator.adapt(arrays, self.prompts), arrays, self.prompts, self.genes)
        checked = _checked(prediction, (self.n_spots, self.genes.size), estimator)
        if self.assessed:
            from ..uncertainty import assess, with_samples

            checked = assess(_held(checked), estimator, arrays, self.prompts, self.genes, seed=self.seed)
            if self.n_samples:
                checked = with_samples(checked, self.n_samples, seed=self.seed)
        return _with_gaps(checked, self.lacking)


def _held(prediction: Prediction) -> Prediction:
    """The prediction with its values worked out once: its standard deviation and every drawn map are made of them."""
    n_spots, n_genes = prediction.shape
    return prediction if n_spots * n_genes >= MOST_IN_MEMORY else prediction.but(mean=prediction.mean)


def _with_gaps(prediction: Prediction, lacking: NDArray[np.bool_]) -> Prediction:
    """The prediction over all genes that are returned, with NaN at those that were not measured on the slide."""
    if not lacking.any():
        return prediction

    def spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return _spread(values, lacking)

    std, assessment = prediction.std_blocks, prediction.assessment
    return prediction.but(
        mean=prediction.blocks.change(spread, width=lacking.size),
        std=None if std is None else std.change(spread, width=lacking.size),
        assessment=None if assessment is None else assessment.of_genes(spread),
        samples=tuple(one.change(spread, width=lacking.size) for one in prediction.samples),
    )


def _spread(values: NDArray[np.float32], lacking: NDArray[np.bool_]) -> NDArray[np.float32]:
    out = np.full((*values.shape[:-1], lacking.size), np.nan, dtype=np.float32)
    out[..., ~lacking] = values
    return out


def _checked(prediction: Any, shape: tuple[int, int], estimator: Estimator) -> Prediction:
    """The prediction, which says where it is no finite one of every spot and gene: the method is at fault, not the user."""
    from ..models import Prediction

    def refuse(what: str) -> NoReturn:
        msg = (
            f"Method {estimator.name!r} returned {what} where a Prediction with a finite mean of shape {shape} is expected: "
            "a fault of the method, which its contract tests show."
        )
        raise ValueError(msg)

    def finite(values: NDArray[np.float32]) -> NDArray[np.float32]:
        if not np.isfinite(values).all():
            refuse("values that are not finite")
        return values

    if not isinstance(prediction, Prediction):
        refuse(type(prediction).__name__)
    if prediction.shape != shape:
        refuse(f"shape {prediction.shape}")
    return prediction.but(mean=prediction.blocks.change(finite))
