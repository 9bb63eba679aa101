"""Ridge regression on image features over a cohort, which can forget any of its slides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from .._arrays import SlideArrays, TrainingSlide
from ._cohort import check_training
from ._image_regression import ALPHAS, Radial
from ._image_space import Rows, Standardized, feature_blocks, map_rows, standardized_features
from ._judge import even_subset
from ._rates import RateScale

Array = NDArray[np.float64]

_MAX_SPOTS = 20_000


@dataclass(frozen=True, eq=False)
class CohortRegression:
    """Ridge of whitened rates, of genes or of gene components, on image features.

    Attributes
    ----------
    radial
        The regressors.
    center
        (m,) their mean in training.
    coefficients
        (m, t) effects.
    view
        Features that are looked at, by the name that the method gives them.
    """

    radial: Radial
    center: Annotated[Array, "m"]
    coefficients: Annotated[Array, "m t"]
    view: str = ""

    def predict(self, features: Rows) -> Array:
        """Whitened rates (n, t) of a slide's features, about zero over the slide."""
        width = self.coefficients.shape[1]
        out = map_rows(
            Standardized.of(features), lambda few: (self.radial.of(few) - self.center) @ self.coefficients, width
        )
        out -= out.mean(axis=0)
        return out


@dataclass(frozen=True, eq=False)
class Lesson:
    """What the spots of one slide teach.

    Attributes
    ----------
    name
        Of the slide.
    group
        Of the slides that are left out together.
    together
        Of the slides over which left-out predictions are taken about zero.
    features
        (n, F) features by view.
    used
        (p,) spots that teach.
    values
        (p, t) what is to be predicted of them.
    weight
        (p,) their weights.
    centered
        Whether values and regressors are taken about zero over the slide; else over the spots that teach, values of the whole
        cohort at once.
    widths
        Columns of each block of features; empty for a single one.
    """

    name: str
    group: str
    together: str
    features: Callable[[str], Rows]
    used: NDArray[np.int64]
    values: Array
    weight: Array
    centered: bool = True
    widths: tuple[int, ...] = ()

    def design(self, radial: Radial, few: Array) -> Array:
        """(p, m) regressors of the spots that teach, of which ``few`` are the features, standardised over the slide."""
        return radial.of(few) if self.centered else radial(Standardized.of(few.astype(np.float32), self.widths))


@dataclass(frozen=True, eq=False)
class _Sums:
    """Weighted sums over spots: of 1, of regressors, of their products, of those with the values, and of the values."""

    weight: float
    design: Array
    gram: Array
    cross: Array
    values: Array

    @classmethod
    def of(cls, lesson: Lesson, design: Array) -> _Sums:
        weighted = design * lesson.weight[:, None]
        values = np.zeros(lesson.values.shape[1]) if lesson.centered else lesson.weight @ lesson.values
        return cls(
            float(lesson.weight.sum()), weighted.sum(axis=0), weighted.T @ design, weighted.T @ lesson.values, values
        )

    @classmethod
    def total(cls, parts: Sequence[_Sums]) -> _Sums:
        """Sums over several slides."""
        arrays = (np.sum([getattr(p, n) for p in parts], axis=0) for n in ("design", "gram", "cross", "values"))
        return cls(sum(p.weight for p in parts), *arrays)

    def solve(self, alpha: float) -> tuple[Array, Array]:
        """Center (m,) and coefficients (m, t) of the ridge."""
        center = self.design / self.weight
        gram = self.gram - self.weight * np.outer(center, center) + alpha * np.eye(len(center))
        cross = self.cross - np.outer(center, self.values)
        return center, np.asarray(np.linalg.solve(gram, cross), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LearnedRegression:
    """The regression with its sums by slide, kept while a cohort is being learned from.

    Attributes
    ----------
    view, radial, alpha
        Features, regressors and penalty.
    sums
        With the names of the slides.
    """

    view: str
    radial: Radial
    alpha: float
    sums: Sequence[tuple[str, _Sums]]

    @property
    def whole(self) -> CohortRegression:
        """The regression on all slides."""
        return self._of([sums for _, sums in self.sums])

    def without(self, names: Collection[str]) -> CohortRegression | None:
        """The regression on all slides but these; ``None`` where no slide is left."""
        kept = [sums for name, sums in self.sums if name not in names]
        return self._of(kept) if kept else None

    def _of(self, sums: Sequence[_Sums]) -> CohortRegression:
        return CohortRegression(self.radial, *_Sums.total(sums).solve(self.alpha), self.view)


def learn_regression(
    lessons: Sequence[Lesson], *, views: Sequence[str], n_components: int, seed: int
) -> LearnedRegression:
    """View, linear or radial regressors and the penalty that predict groups best when they are left out in turn.

    With one group the first view and a middle penalty are taken.

    Parameters
    ----------
    lessons
        Of the slides.
    views
        Features to choose from.
    n_components
        Pooled components of the features.
    seed
        Seed of the landmarks.
    """
    tried: list[tuple[float, LearnedRegression]] = []
    for view in views:
        few = [Standardized.of(one.features(view))[one.used] for one in lessons]
        pooled = np.concatenate(few)
        for use_radial in (False, True):
            radial = Radial.learn(pooled, n_components=n_components, radial=use_radial, seed=seed)
            designs = [one.design(radial, f) for f, one in zip(few, lessons, strict=True)]
            sums = [_Sums.of(one, design) for one, design in zip(lessons, designs, strict=True)]
            errors = _left_out_errors(lessons, designs, sums)
            named = [(one.name, s) for one, s in zip(lessons, sums, strict=True)]
            tried += [(e, LearnedRegression(view, radial, a, named)) for a, e in zip(ALPHAS, errors, strict=True)]
    return min(tried, key=lambda pair: pair[0])[1]


def _left_out_errors(lessons: Sequence[Lesson], designs: Sequence[Array], sums: Sequence[_Sums]) -> list[float]:
    """Weighted squared error by penalty, each group predicted from the others."""
    groups = list(dict.fromkeys(one.group for one in lessons))
    if len(groups) == 1:
        middle = len(ALPHAS) // 2
        return [float(abs(position - middle)) for position in range(len(ALPHAS))]
    errors = np.zeros(len(ALPHAS))
    for group in groups:
        train = _Sums.total([s for s, one in zip(sums, lessons, strict=True) if one.group != group])
        tested: dict[str, list[tuple[Lesson, Array]]] = {}
        for one, design in zip(lessons, designs, strict=True):
            if one.group == group:
                tested.setdefault(one.together, []).append((one, design))
        for position, alpha in enumerate(ALPHAS):
            center, coefficients = train.solve(alpha)
            for together in tested.values():
                predicted = [(design - center) @ coefficients for _, design in together]
                level = np.concatenate(predicted).mean(axis=0)
                for (one, _), made in zip(together, predicted, strict=True):
                    residual = one.values - (made - level)
                    errors[position] += float((one.weight[:, None] * residual**2).sum())
    return [float(error) for error in errors]


def measured_spots(
    slide: TrainingSlide, n_slides: int, spread: Array | None = None
) -> tuple[NDArray[np.int64], Array, Array]:
    """Spots of a slide that teach, their counts over the panel, and their whitened rates."""
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    used = np.flatnonzero(totals > 0)
    used = used[even_subset(used.size, max(1, _MAX_SPOTS // n_slides))]
    scale = RateScale.from_counts(slide.counts[used], totals[used], spread=spread)
    return used, totals[used], scale.whiten(slide.counts[used], totals[used])


def spot_weight(totals: Array, median: float) -> Array:
    """Weights by counts: variance is counting noise, plus what the image cannot tell, as large at the median spot."""
    return 1.0 / (median / totals + 1.0)


def learn_cohort_regression(
    slides: Sequence[TrainingSlide], *, n_components: int, seed: int, method: str
) -> CohortRegression:
    """Regression of all genes on the spots' own features, from the slides with an image.

    Patients are left out in turn, with one patient, or where one is unknown, slides. A ``ValueError`` where no slide has an
    image.
    """
    check_training(slides, method)
    imaged = [slide for slide in slides if slide.arrays.features is not None]
    if not imaged:
        listed = ", ".join(slide.arrays.name for slide in slides)
        msg = f"method {method!r} needs image features, and none of the training slides has any ({listed})"
        raise ValueError(msg)
    names = [slide.arrays.name for slide in imaged]
    patients = [slide.arrays.patient for slide in imaged]
    groups = names if None in patients or len(set(patients)) == 1 else patients
    measured = [measured_spots(slide, len(imaged)) for slide in imaged]
    median = float(np.median(np.concatenate([totals for _, totals, _ in measured])))
    weights = [spot_weight(totals, median) for _, totals, _ in measured]
    mean = float(np.concatenate(weights).mean())
    lessons = [
        _lesson(slide.arrays, str(group), method, spots, weight / mean)
        for slide, group, spots, weight in zip(imaged, groups, measured, weights, strict=True)
    ]
    return learn_regression(lessons, views=("",), n_components=n_components, seed=seed).whole


def _lesson(
    slide: SlideArrays,
    group: str,
    method: str,
    spots: tuple[NDArray[np.int64], Array, Array],
    weight: Array,
) -> Lesson:
    used, _, values = spots
    features, widths = standardized_features(slide, method), feature_blocks(slide)
    return Lesson(slide.name, group, group, lambda _: features, used, values, weight, centered=False, widths=widths)
