"""What a cohort teaches about a slide to come: gene levels and components, image regression, sections of its patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays, TrainingSlide
from ..._progress import bar
from ..._text import quoted
from ...linear import (
    CohortRegression,
    GeneBasis,
    GeneLevels,
    LearnedRegression,
    RateScale,
    Standardized,
    Working,
    cohort_levels,
    even_subset,
    gene_spread,
    learn_gene_basis,
    map_rows,
)
from .propagated import Looks
from .serial import N_CHANNELS, Laid, Reference, lay_on, make_reference, serial_trend
from .trend_regression import learn_cohort_trend, n_features
from .trends import DEFAULT_SLOPES, OTHER_PATIENTS, SAME_PATIENT, SERIAL, MeasuredTrends, Trends, learn_slopes

Array = NDArray[np.float64]

_MAX_SECTIONS = 24
"""Training sections that the slopes are learned on."""
_SHOWN = 0.1
"""Share of their spots that help to lay them on one another."""


@dataclass(frozen=True, eq=False)
class Knowledge:
    """What was learned from training slides.

    Attributes
    ----------
    levels
        (G,) mean shares of the genes in the panel.
    spread
        (G,) noise of the genes in units of the Poisson one.
    basis
        Gene components and their signal.
    regression
        Image regression, or ``None``.
    imaged_patients
        Patients that the regression has seen.
    references
        Training sections of known patients.
    slopes
        Slopes by kinds of trends.
    share
        Of the panel in all counts: what a slide without prompts is taken to have.
    """

    levels: GeneLevels
    spread: Annotated[Array, "G", "> 0"]
    basis: GeneBasis
    regression: CohortRegression | None = None
    imaged_patients: frozenset[str] = frozenset()
    references: tuple[Reference, ...] = ()
    slopes: Mapping[tuple[str, ...], tuple[float, ...]] = field(default_factory=lambda: dict(DEFAULT_SLOPES))
    share: Annotated[float, "0 to 1"] = 1.0

    def __post_init__(self) -> None:
        slopes = [kinds for kinds, one in DEFAULT_SLOPES.items() if len(self.slopes.get(kinds, ())) != len(one)]
        if slopes:
            msg = f"The slopes of {quoted(slopes)} are missing."
            raise ValueError(msg)
        if self.regression is not None and self.regression.coefficients.shape[1] != self.basis.vectors.shape[1]:
            raise ValueError("The image regression and the gene components are not of one model.")

    @property
    def scale(self) -> Array:
        """(k,) signal standard deviation of the gene components in whitened rates."""
        variance = self.basis.variance
        return np.ones(self.basis.vectors.shape[1]) if variance is None else np.sqrt(np.maximum(variance, 1e-12))

    def check_width(self, slide: SlideArrays) -> None:
        """Raise where the features of a slide are not those of training."""
        if slide.features is None or self.regression is None:
            return
        width, wanted = slide.features.shape[1], n_features(self.regression)
        if width != wanted:
            msg = (
                f"Slide {slide.name!r} has {width} features per spot, and the model was trained on {wanted}: run "
                "`phg2st_sc.pp.extract_embeddings(data)` with the encoder of the training slides."
            )
            raise ValueError(msg)

    def looks(self, looks: Looks) -> Standardized | None:
        """The features of a slide that the image regression looks at; ``None`` without an image."""
        if looks.slide.features is None or self.regression is None:
            return None
        return looks.standardized(self.regression.view)

    def channels(self, looks: Standardized | None) -> Array | None:
        """(n, 8) image components in which sections are compared; ``None`` without an image."""
        if looks is None or self.regression is None:
            return None
        radial = self.regression.radial
        directions = radial.directions[:, :N_CHANNELS]
        return map_rows(looks, lambda few: (few - radial.mean) @ directions, directions.shape[1])


@dataclass(frozen=True, eq=False)
class Expectations:
    """What a cohort has to say about one slide before any prompt is seen.

    Attributes
    ----------
    by_image
        (n, k) prediction of the image regression, or ``None``.
    kind
        Of the regression: ``"same_patient"`` or ``"other_patients"``.
    laid
        The slide on the sections of its patient.
    """

    by_image: Array | None
    kind: str
    laid: Sequence[Laid]

    @classmethod
    def of(cls, knowledge: Knowledge, looks: Looks) -> Expectations:
        """Apply the regression, and lay the slide on the sections of its patient."""
        slide = looks.slide
        knowledge.check_width(slide)
        seen, regression = knowledge.looks(looks), knowledge.regression
        by_image = None if seen is None or regression is None else regression.predict(seen)
        references = [r for r in knowledge.references if r.patient == slide.patient and not r.is_of(slide)]
        laid = lay_on(slide.positions, knowledge.channels(seen), references) if references else []
        kind = SAME_PATIENT if slide.patient in knowledge.imaged_patients else OTHER_PATIENTS
        return cls(by_image, kind, laid)

    @property
    def knows_patient(self) -> bool:
        """Whether other sections of the patient have a say."""
        return self.kind == SAME_PATIENT or bool(self.laid)

    def take(self, rows: NDArray[np.int64]) -> Expectations:
        """The same at some of the spots."""
        by_image = None if self.by_image is None else self.by_image[rows]
        return Expectations(by_image, self.kind, [laid.take(rows) for laid in self.laid])

    def trends(self, knowledge: Knowledge, working: Working) -> Trends:
        """Trends of the slide, its prompts deciding between poses."""
        kinds, values, remainder = [], [], None
        if self.by_image is not None:
            kinds.append(self.kind)
            values.append(self.by_image)
        columns = working.values @ knowledge.basis.vectors
        serial = serial_trend(self.laid, working.index, columns, working.noise, knowledge.scale)
        if serial is not None:
            kinds.append(SERIAL)
            values.append(serial[0])
            remainder = serial[1]
        return Trends(tuple(kinds), tuple(values), remainder)


@dataclass(frozen=True, eq=False)
class Learned:
    """Knowledge, and the training slides as seen by the knowledge of the others.

    Attributes
    ----------
    knowledge
        From all training slides.
    trend
        Image regression that can forget slides.
    slides
        The training slides.
    """

    knowledge: Knowledge
    trend: LearnedRegression | None
    slides: Sequence[TrainingSlide]

    def without(self, slide: SlideArrays, *, whole_patient: bool) -> Knowledge:
        """Return what is known without a training slide, or without all of its patient's.

        Gene levels and components stay: a single slide hardly moves them.
        """

        def left_out(other: SlideArrays) -> bool:
            return other.name == slide.name or (
                whole_patient and slide.patient is not None and other.patient == slide.patient
            )

        names = {s.arrays.name for s in self.slides if left_out(s.arrays)}
        kept = [s.arrays for s in self.slides if s.arrays.name not in names]
        return replace(
            self.knowledge,
            regression=None if self.trend is None else self.trend.without(names),
            imaged_patients=frozenset(a.patient for a in kept if a.features is not None and a.patient is not None),
            references=tuple(r for r in self.knowledge.references if r.name not in names),
        )

    def has_relatives(self, slide: SlideArrays) -> bool:
        """Whether there are other training slides of the patient."""
        others = (s.arrays for s in self.slides if s.arrays.name != slide.name)
        return slide.patient is not None and any(other.patient == slide.patient for other in others)


def learn(
    slides: Sequence[TrainingSlide], *, n_components: int, method: str, seed: int, progress: bool = False
) -> Learned | None:
    """Learn from slides that were measured at every spot; ``None`` where genes do not covary between neighbours."""
    spread = gene_spread(slides)
    basis = learn_gene_basis(slides, n_components, spread=spread)
    if basis is None:
        return None
    trend = learn_cohort_trend(slides, basis.vectors, spread, method=method, seed=seed)
    first = Knowledge(
        cohort_levels(slides),
        spread,
        basis,
        None if trend is None else trend.whole,
        frozenset(s.arrays.patient for s in slides if s.arrays.features is not None and s.arrays.patient is not None),
        share=panel_share(slides),
    )
    made = (make_reference(s, basis, spread, first.channels(first.looks(Looks(s.arrays, method)))) for s in slides)
    knowledge = replace(first, references=tuple(one for one in made if one is not None))
    learned = Learned(knowledge, trend, slides)
    return replace(
        learned, knowledge=replace(knowledge, slopes=learn_slopes(_measured_trends(learned, method, seed, progress)))
    )


def panel_share(slides: Sequence[TrainingSlide]) -> float:
    """Share of the panel in all counts, the median over slides; of those that have any."""
    sums = [(float(s.counts.sum(dtype=np.float64)), float(s.totals.sum(dtype=np.float64))) for s in slides]
    shares = [panel / everything for panel, everything in sums if panel > 0]
    return float(min(np.median(shares), 1.0)) if shares else 1.0


def _measured_trends(learned: Learned, method: str, seed: int, progress: bool) -> list[MeasuredTrends]:
    """Training sections under the trends of the others: of all others, and of other patients alone."""
    sections = []
    positions = even_subset(len(learned.slides), _MAX_SECTIONS)
    for position in bar(positions, progress=progress, desc="learn from the others", unit="slide"):
        slide = learned.slides[position]
        ways = {False, True} if learned.has_relatives(slide.arrays) else {True}
        for whole_patient in sorted(ways):
            knowledge = learned.without(slide.arrays, whole_patient=whole_patient)
            one = _measured(knowledge, slide, method, np.random.default_rng((seed, position)))
            if one is not None:
                sections.append(one)
    return sections


def _measured(
    knowledge: Knowledge, slide: TrainingSlide, method: str, rng: np.random.Generator
) -> MeasuredTrends | None:
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    used = np.flatnonzero(totals > 0)
    if used.size < 2:
        return None
    shown = rng.choice(used, max(1, round(_SHOWN * used.size)), replace=False)
    expected = Expectations.of(knowledge, Looks(slide.arrays, method))
    trends = expected.trends(knowledge, Working.of(slide.prompts(shown, target_sum=1.0), spread=knowledge.spread))
    if not trends:
        return None
    scale = RateScale.from_counts(slide.counts, totals[used], spread=knowledge.spread)  # no count adds nothing
    truth = scale.components(slide.counts, totals, knowledge.basis.vectors, used)
    there = Trends(trends.kinds, tuple(value[used] for value in trends.values))
    return MeasuredTrends(there, truth, totals[used] / totals[used].sum())
