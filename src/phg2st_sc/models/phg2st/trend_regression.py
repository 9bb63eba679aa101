"""Image regression over a cohort that can forget any of its slides, so that training slides are predicted honestly."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays, TrainingSlide
from ...linear import ALPHAS, Radial, RateScale, even_subset, standardize
from .propagated import BOTH, VIEWS, propagated_features

Array = NDArray[np.float64]

N_IMAGE_COMPONENTS = 50
_MAX_SPOTS = 20_000


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the spots of one slide: of weights, of regressors, of their squares, of regressors times components."""

    weight: float
    mean: Array
    gram: Array
    cross: Array

    @classmethod
    def of(cls, design: Array, values: Array, weight: Array) -> _Sums:
        weighted = design * weight[:, None]
        sums = weighted.sum(axis=0)
        return cls(float(weight.sum()), sums, weighted.T @ design, weighted.T @ values)

    @classmethod
    def total(cls, parts: Sequence[_Sums]) -> _Sums:
        """Sums over several slides."""
        return cls(
            sum(p.weight for p in parts),
            np.sum([p.mean for p in parts], axis=0),
            np.sum([p.gram for p in parts], axis=0),
            np.sum([p.cross for p in parts], axis=0),
        )

    def solve(self, alpha: float) -> tuple[Array, Array]:
        """Centre (m,) and coefficients (m, k) of the ridge."""
        center = self.mean / self.weight
        gram = self.gram - self.weight * np.outer(center, center) + alpha * np.eye(len(center))
        # whitened rates are centred on every slide, so the mean of the regressors needs no counterpart
        return center, np.asarray(np.linalg.solve(gram, self.cross), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class _Rows:
    """A slide, and its measured spots: which, their components and weights."""

    slide: SlideArrays
    used: NDArray[np.int64]
    values: Array
    weight: Array

    @classmethod
    def of(cls, slide: TrainingSlide, basis: Array, spread: Array, limit: int) -> _Rows:
        totals = slide.counts.sum(axis=1, dtype=np.float64)
        used = np.flatnonzero(totals > 0)
        used = used[even_subset(used.size, limit)]
        scale = RateScale.from_counts(slide.counts[used], totals[used], spread=spread)
        # variance = counting noise + what the image cannot tell, taken as equal at the median spot
        weight = 1.0 / (np.median(totals[used]) / totals[used] + 1.0)
        return cls(
            slide.arrays,
            used,
            scale.whiten(slide.counts[used], totals[used]) @ basis,
            np.asarray(weight / weight.mean(), dtype=np.float64),
        )


@dataclass(frozen=True, eq=False)
class TrendRegression:
    """Ridge of gene components on the image of spots, of their surroundings, or of both.

    Attributes
    ----------
    view
        Features that are looked at.
    radial
        The regressors.
    center
        (m,) their mean in training.
    coefficients
        (m, k) effects.
    """

    view: str
    radial: Radial
    center: Annotated[Array, "m"]
    coefficients: Annotated[Array, "m K"]

    @property
    def n_features(self) -> int:
        """Features per spot that slides must have."""
        width = len(self.radial.mean)
        return width // 2 if self.view == BOTH else width

    def features(self, slide: SlideArrays, method: str) -> NDArray[np.float32]:
        """Features of a slide as the regression looks at them."""
        return propagated_features(slide, method, self.view).astype(np.float32)

    def predict(self, slide: SlideArrays, method: str) -> Array:
        """(n, k) whitened rates in gene components, about zero over the slide."""
        out = (self.radial(self.features(slide, method)) - self.center) @ self.coefficients
        return np.asarray(out - out.mean(axis=0))


@dataclass(frozen=True, eq=False)
class CohortTrend:
    """The regression with its sums by slide, kept while a cohort is being learned from.

    Attributes
    ----------
    view, radial, alpha
        Features, regressors and penalty.
    sums
        By name of the slide.
    """

    view: str
    radial: Radial
    alpha: float
    sums: Mapping[str, _Sums]

    def without(self, names: Collection[str]) -> TrendRegression | None:
        """The regression on all slides but these; ``None`` where no slide is left."""
        kept = [sums for name, sums in self.sums.items() if name not in names]
        if not kept:
            return None
        return TrendRegression(self.view, self.radial, *_Sums.total(kept).solve(self.alpha))


def learn_cohort_trend(
    slides: Sequence[TrainingSlide], basis: Array, spread: Array, *, method: str, seed: int = 0
) -> CohortTrend | None:
    """Fit on the slides with an image; ``None`` where there are none.

    What to look at, linear or radial regressors and the penalty are chosen by leaving patients out in turn, with one patient
    slides, and with one slide the surroundings and a middle penalty are taken.

    Parameters
    ----------
    slides
        Training slides.
    basis
        (G, k) gene components.
    spread
        (G,) noise of the genes in units of the Poisson one.
    method
        Name for messages.
    seed
        Seed of the landmarks.
    """
    imaged = [slide for slide in slides if slide.arrays.features is not None]
    if not imaged:
        return None
    _check_widths([slide.arrays for slide in imaged])
    limit = max(1, _MAX_SPOTS // len(imaged))
    rows = {s.arrays.name: _Rows.of(s, basis, spread, limit) for s in imaged}
    patients = [s.arrays.patient or s.arrays.name for s in imaged]
    groups = dict(zip(rows, patients if len(set(patients)) > 1 else rows, strict=True))
    tried: list[tuple[float, CohortTrend]] = []
    for view in VIEWS:
        features = {name: propagated_features(one.slide, method, view).astype(np.float32) for name, one in rows.items()}
        pooled = np.concatenate([standardize(features[name])[one.used] for name, one in rows.items()])
        for use_radial in (False, True):
            radial = Radial.learn(pooled, n_components=N_IMAGE_COMPONENTS, radial=use_radial, seed=seed)
            designs = {name: radial(features[name])[one.used] for name, one in rows.items()}
            sums = {name: _Sums.of(designs[name], one.values, one.weight) for name, one in rows.items()}
            errors = _left_out_errors(designs, rows, sums, groups)
            tried += [(error, CohortTrend(view, radial, a, sums)) for a, error in zip(ALPHAS, errors, strict=True)]
    return min(tried, key=lambda pair: pair[0])[1]


def _check_widths(slides: Sequence[SlideArrays]) -> None:
    widths = {slide.features.shape[1]: slide.name for slide in slides if slide.features is not None}
    if len(widths) > 1:
        told = ", ".join(f"slide {name!r} has {width}" for width, name in widths.items())
        msg = (
            f"training slides differ in their number of features per spot ({told}): run "
            "`phg2st_sc.pp.extract_embeddings(data)` on all of them with the same encoder"
        )
        raise ValueError(msg)


def _left_out_errors(
    designs: Mapping[str, Array], rows: Mapping[str, _Rows], sums: Mapping[str, _Sums], groups: Mapping[str, str]
) -> list[float]:
    """Weighted squared error by penalty, each group predicted from the others."""
    if len(set(groups.values())) == 1:
        middle = len(ALPHAS) // 2
        return [float(abs(position - middle)) for position in range(len(ALPHAS))]
    errors = np.zeros(len(ALPHAS))
    for group in dict.fromkeys(groups.values()):
        train = _Sums.total([sums[name] for name in rows if groups[name] != group])
        for position, alpha in enumerate(ALPHAS):
            center, coefficients = train.solve(alpha)
            for name, one in rows.items():
                if groups[name] == group:
                    predicted = (designs[name] - center) @ coefficients
                    residual = one.values - (predicted - predicted.mean(axis=0))
                    errors[position] += float((one.weight[:, None] * residual**2).sum())
    return [float(error) for error in errors]
