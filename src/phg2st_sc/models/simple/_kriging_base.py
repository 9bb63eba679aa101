"""What the kriging methods share: choosing a covariance, working in gene components, learning both from a cohort."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ..._docs import documented
from ..._evidence import Posterior
from ...linear import (
    COMPONENT_RATIOS,
    LENGTH_SCALES,
    MAX_EXACT,
    MIN_TO_CHOOSE,
    MIN_TO_LENGTHEN,
    MIXES,
    PRIOR_COUNTS,
    RATIOS,
    Covariance,
    Field,
    GeneBasis,
    GeneLevels,
    Kernel,
    Places,
    Working,
    beyond,
    check_training,
    choose,
    choose_on_cohort,
    cohort_levels,
    episodes,
    gene_signal,
    image_components,
    krige_columns,
    learn_gene_basis,
    posterior,
    standardized_features,
)
from .._base import Estimator
from .._limits import AtLeast, Positive

Array = NDArray[np.float64]


class Kriged(NamedTuple):
    """Whitened predictions (n, G), what to tell of them, and what the prompts leave open."""

    field: Field
    details: dict[str, Any]
    posterior: Posterior | None = None


@documented
class KrigingEstimator(Estimator):
    """Predict whitened rates by kriging, in gene components where a basis is known and in the remaining directions.

    Parameters
    ----------
    {length_scale} {ratio} {n_components:genes}
        0 treats every gene by itself.
    {seed}
    """

    kind = "simple"
    limits: ClassVar = {"length_scale": Positive(), "ratio": Positive(), "n_components": AtLeast(0)}
    default_mix: ClassVar[float] = 0.0
    default_length_scale: ClassVar[float] = 5.0
    remainder_ratio: ClassVar[float] = 0.02
    learns: ClassVar = {"levels": GeneLevels | None, "basis": GeneBasis | None, "learned": Covariance | None}
    always_learned = ("levels",)

    def __init__(
        self, *, length_scale: float | None = None, ratio: float | None = None, n_components: int = 0, seed: int = 0
    ) -> None:
        self.length_scale, self.ratio, self.n_components, self.seed = length_scale, ratio, n_components, seed
        self.basis: GeneBasis | None = None
        self.levels: Array | None = None
        self.learned: Covariance | None = None

    # --- learning -----------------------------------------------------------------------------------------------------
    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn gene levels, gene components and the covariance from training slides."""
        self.genes = check_training(slides, self.name)
        self.levels = cohort_levels(slides)
        self.basis = learn_gene_basis(slides, self.n_components) if self.n_components else None
        usable = [s for s in slides if not self.uses_image or s.arrays.features is not None]
        trials = [(self._encoded(e.slide), e) for e in episodes(usable, seed=self.seed)]
        if trials:
            self.learned = choose_on_cohort(trials, list(self._candidates()), self._trial)
        return self

    # --- predicting ---------------------------------------------------------------------------------------------------
    def encode(self, slide: SlideArrays) -> Places:
        """Places of the slide, with image components for the methods that look at the image."""
        image = image_components(standardized_features(slide, self.name)) if self.uses_image else None
        return Places.of(slide.positions, image)

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        return self._predict(slide, prompts, None)

    def predict_genes(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64]) -> Prediction:
        """Predict some genes of the panel; the others are worked out too, a few spots at a time, and not kept."""
        return self._predict(slide, prompts, genes)

    def _predict(self, slide: SlideArrays, prompts: Prompts, genes: NDArray[np.int64] | None) -> Prediction:
        working = self._working(prompts)
        kriged = self._krige(self._encoded(slide), working, working.values)
        return working.finish(kriged.field, details=kriged.details, genes=genes, posterior=kriged.posterior)

    def _working(self, prompts: Prompts) -> Working:
        return Working.of(prompts, prior=self.levels, prior_counts=PRIOR_COUNTS)

    def _krige(self, places: Places, working: Working, values: Array) -> Kriged:
        if working.index.size == 0:
            return Kriged(Field.of(np.broadcast_to(0.0, (places.n, values.shape[1]))), {})
        level = working.leave_one_out_level() if values is working.values else np.broadcast_to(0.0, values.shape)
        columns, levels = self._columns(values), self._columns(level)
        signal = self._signal(working)
        default = self._default()
        covariance, skill = choose(
            places, working, columns, levels, default, self._candidates(), signal, stretch_from=self._stretch_from()
        )
        kernel = covariance.kernel
        details = {
            "length_scale": kernel.length_scale,
            "mix": kernel.mix,
            "ratio": covariance.ratio,
            "amplitude": skill.amplitude,
        }
        kriged = self._under(places, working, values, covariance)
        ratio = covariance.ratio * np.broadcast_to(signal, columns.shape[1])
        vectors = None if self.basis is None else self.basis.vectors
        left = posterior(places, working, covariance, ratio, vectors=vectors, remainder_ratio=self.remainder_ratio)
        return Kriged(kriged.times(skill.amplitude), details, left)

    def _stretch_from(self) -> float:
        if self.length_scale is not None:
            return math.inf
        # components of the prompts themselves have seen the one that is left out
        from_prompts = self.basis is not None and self.basis.variance is None
        return MIN_TO_CHOOSE if from_prompts else MIN_TO_LENGTHEN

    def _columns(self, values: Array) -> Array:
        return values if self.basis is None else values @ self.basis.vectors

    def _signal(self, working: Working) -> Array | float:
        if self.basis is None:
            return gene_signal(working)
        return self.basis.signal(working.depth, rounded=working.index.size > MAX_EXACT)

    def _under(self, places: Places, working: Working, values: Array, covariance: Covariance) -> Field:
        """Whitened predictions (n, G) under a given covariance."""
        index, noise = working.index, working.noise
        columns = self._columns(values)
        out = krige_columns(places, index, noise, columns, covariance, self._signal(working))
        if self.basis is None:
            return out
        vectors = self.basis.vectors
        # what the components miss is mostly noise: predicted too, but flat
        flat = Covariance(covariance.kernel, self.remainder_ratio)
        rest = krige_columns(places, index, noise, beyond(values, columns, vectors), flat)
        return out.change(lambda found, rows: found @ vectors.T + rest.at(rows), width=rest.width)

    def _trial(self, places: Places, working: Working, covariance: Covariance) -> Array:
        return self._under(places, working, working.values, covariance).whole()

    def _default(self) -> Covariance:
        if self.learned is not None:
            return self.learned
        kernel = Kernel(self.length_scale or self.default_length_scale, self.default_mix)
        return Covariance(kernel, self.ratio or self._ratios()[1])

    def _ratios(self) -> tuple[float, ...]:
        return COMPONENT_RATIOS if self.basis is not None and self.basis.variance is not None else RATIOS

    def _candidates(self) -> Iterator[Covariance]:
        mixes = MIXES if self.uses_image else (0.0,)
        for mix in mixes:
            for scale in LENGTH_SCALES if self.length_scale is None else (self.length_scale,):
                for ratio in self._ratios() if self.ratio is None else (self.ratio,):
                    yield Covariance(Kernel(scale, mix), ratio)
