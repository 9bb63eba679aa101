"""Run the units of a benchmark: a method, on the sections of a fold, with a seed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._arrays import Prediction, Prompts, SlideArrays
from .._reading import (
    DEFAULT_TARGET_SUM,
    Measured,
    Panel,
    common_target_sum,
    read_measured,
    same_features,
    slide_arrays,
    training_slide,
)
from .._warn import warn_of_each
from ..metrics import published_counts, score_published, score_section
from ..prompts import generator_of, number_of_prompts, sample_mask
from ._meter import Meter
from ._plan import COHORT, Fold, MethodSpec, Section

if TYPE_CHECKING:
    from .._arrays import TrainingSlide
    from ..models import Estimator

HONEST, PUBLISHED = "honest", "published"
REFERENCE = "reference"
NOISE_CEILING, DEPTH_ONLY, HALF_OF_COUNTS = "noise_ceiling", "depth_only", "half_of_counts"
COLUMNS = (
    "protocol", "fold", "section", "patient", "method", "learned", "seed", "regime", "mask", "metric", "value", "error",
)  # fmt: skip
_REFERENCES = {
    NOISE_CEILING: {"pcc": "ceiling", "pcc_unsmoothed": "ceiling_unsmoothed"},
    DEPTH_ONLY: {"pcc": "pcc_depth_only", "pcc_lognorm": "pcc_lognorm_depth_only"},
    HALF_OF_COUNTS: {
        "ssim": "ssim_halves",
        "hotspot_kappa": "hotspot_kappa_halves",
        "gene_correlation_error": "gene_correlation_error_halves",
        "gene_correlation_agreement": "gene_correlation_agreement_halves",
    },
}
_NOT_OF_A_METHOD = frozenset(name for names in _REFERENCES.values() for name in names.values()) | {
    "half_r",
    "half_r_unsmoothed",
}
_ALLOW_FOR_NOISE = frozenset({"morans_i", "gene_correlation"})
"""Further scores that need the noise ceiling of each gene."""
_PUBLISHED_TOTAL = 1e6


@dataclass(frozen=True)
class Scoring:
    """What is scored, and how prompts are drawn."""

    fraction: float
    strategies: tuple[str, ...]
    n_masks: int
    extra: tuple[str, ...]
    markers: tuple[str, ...] | None
    n_splits: int


@dataclass(eq=False)
class FoldData:
    """Sections of a fold as arrays, read when they are first asked for."""

    fold: Fold
    sections: Mapping[str, Section]
    scoring: Scoring
    top_genes: Sequence[str] | None
    _training: dict[tuple[bool, bool], list[TrainingSlide]] = field(default_factory=dict)
    _arrays: dict[tuple[str, bool, bool], SlideArrays] = field(default_factory=dict)

    def training(self, *, patches: bool, context: bool) -> list[TrainingSlide]:
        """Training sections with their expression."""
        if (patches, context) not in self._training:
            used = [self.sections[name] for name in self.fold.train]
            genes = self.fold.genes
            read = [training_slide(s.reading, s.slide, s.rep, genes, patches=patches, context=context)[0] for s in used]
            same_features([s.slide for s in used], [s.rep for s in used], read)
            self._training[patches, context] = read
        return self._training[patches, context]

    def arrays(self, name: str, *, patches: bool, context: bool) -> SlideArrays:
        """Image side of a test section; the same object for all masks, so that methods encode it once."""
        if (name, patches, context) not in self._arrays:
            one = self.sections[name]
            self._arrays[name, patches, context] = slide_arrays(one.slide, one.rep, patches=patches, context=context)
        return self._arrays[name, patches, context]

    def forget(self) -> None:
        """Let go of what was read: every fold has its own genes, and reads anew."""
        self._training.clear()
        self._arrays.clear()


@dataclass(frozen=True, eq=False)
class Case:
    """One draw of prompts on one test section."""

    section: Section
    regime: str
    mask: int
    measured: Measured

    @property
    def held_out(self) -> NDArray[np.int64]:
        """Spots that are scored, as numbers within the slide."""
        return np.flatnonzero(~self.measured.mask)

    def labels(self) -> dict[str, Any]:
        """Columns that tell the case."""
        return {
            "section": self.section.name,
            "patient": self.section.patient,
            "regime": self.regime,
            "mask": self.mask,
        }


def cases(data: FoldData, name: str) -> Iterator[Case]:
    """All draws of prompts on a test section; of each, expression is read at the prompts alone."""
    section, scoring = data.sections[name], data.scoring
    for regime in scoring.strategies:
        for mask in range(scoring.n_masks):
            drawn = prompt_mask(section, scoring.fraction, regime, mask)
            measured = read_measured(section.reading, section.slide, drawn, allow_zero=False)
            yield Case(section, regime, mask, measured)


def prompt_mask(section: Section, fraction: float, strategy: str, seed: int) -> NDArray[np.bool_]:
    """(n_obs,) the prompts that :func:`phg2st_sc.pp.sample_prompts` draws with the same settings."""
    slide = section.slide
    order = np.argsort(slide.rows)
    number = number_of_prompts(slide.n_spots, fraction=fraction, n=None, name=f"slide {slide.name!r}")
    drawn = sample_mask(slide.positions[order], number, strategy, generator_of(seed, slide.name))
    mask = np.zeros(slide.table.n_obs, dtype=bool)
    mask[slide.rows[order]] = drawn
    return mask


def run_method(data: FoldData, spec: MethodSpec, seed: int, protocols: Sequence[str]) -> tuple[pd.DataFrame, bool]:
    """Train on the fold where the method learns from a cohort, once; predict every case, score.

    Returns the rows, and whether they are for good. A section that breaks the method has a row with the error, and loses the
    others nothing; when all do, the error is raised.
    """
    estimator = spec.create(seed)
    for module in estimator.slow_imports:
        importlib.import_module(module)
    labels = {"method": spec.label, "learned": spec.learned, "seed": seed}
    rows = []
    if spec.learned == COHORT:
        slides = data.training(patches=estimator.reads_patches, context=estimator.reads_context)
        with Meter() as meter:
            estimator.fit(slides)
        fold = {**labels, "section": "", "patient": "", "regime": "", "mask": -1}
        rows += [row for protocol in protocols for row in _rows({**fold, "protocol": protocol}, meter.record("train"))]

    def score(case: Case, protocol: str) -> list[dict[str, Any]]:
        return _rows(case.labels(), _run_case(data, estimator, case, protocol))

    found, whole = _each_section(data, labels, protocols, score)
    return _table([*rows, *found], data.fold), whole


def run_references(data: FoldData) -> tuple[pd.DataFrame, bool]:
    """Rows of the noise ceiling, of depth alone and of one half of the counts, for the same cases."""

    def score(case: Case, _: str) -> list[dict[str, Any]]:
        nothing = Prediction(np.zeros((case.measured.mask.size, len(data.fold.genes)), dtype=np.float32))
        scores = _honest(data, case, nothing, _scale(case), n_splits=data.scoring.n_splits)
        named = {
            name: {metric: scores[source] for metric, source in metrics.items() if source in scores}
            for name, metrics in _REFERENCES.items()
        }
        return [row for name, values in named.items() for row in _rows({**case.labels(), "method": name}, values)]

    found, whole = _each_section(data, {"method": REFERENCE, "learned": REFERENCE, "seed": 0}, [HONEST], score)
    return _table(found, data.fold), whole


def _each_section(
    data: FoldData,
    labels: Mapping[str, Any],
    protocols: Sequence[str],
    score: Callable[[Case, str], list[dict[str, Any]]],
) -> tuple[list[dict[str, Any]], bool]:
    """Rows of all draws on every section, or of its error, and whether they are for good: no other error than of the input."""
    rows: list[dict[str, Any]] = []
    failed: dict[tuple[str, str], Exception] = {}
    for protocol in protocols:
        for name in data.fold.test:
            try:
                found = [row for case in cases(data, name) for row in score(case, protocol)]
            except Exception as error:  # noqa: BLE001 - whatever is raised, the other sections are still to be scored
                failed[protocol, name] = _bare(error)
                place = {"section": name, "patient": data.sections[name].patient, "regime": "", "mask": -1}
                found = [{**place, "metric": "error", "value": float("nan"), "error": _said(error)}]
            rows += [{**labels, "protocol": protocol, **row} for row in found]
    if len(failed) == len(protocols) * len(data.fold.test):
        raise next(iter(failed.values()))
    for name, one in {name: one for (_, name), one in failed.items()}.items():
        msg = f"Method {labels['method']!r} has no scores on section {name!r}: {_said(one)}."
        several = f"Method {labels['method']!r} has no scores on sections {{which}}: {_said(one)}."
        warn_of_each(msg, each=repr(name), several=several)
    return rows, all(isinstance(one, (KeyError, ValueError)) for one in failed.values())


def _bare(error: Exception) -> Exception:
    """The error without its frames, which would keep arrays and tensors of the section alive."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


def _run_case(data: FoldData, estimator: Estimator, case: Case, protocol: str) -> dict[str, float]:
    prompts = _prompts(data, case, protocol)
    arrays = data.arrays(case.section.name, patches=estimator.reads_patches, context=estimator.reads_context)
    with Meter() as meter:
        prediction = estimator.adapt(arrays, prompts).predict(arrays, prompts)
        _ = prediction.mean  # made within the clock
    if protocol == PUBLISHED:
        scores = _as_published(data, case, prediction, prompts.target_sum)
    else:
        n_splits = data.scoring.n_splits if _ALLOW_FOR_NOISE & set(data.scoring.extra) else 0
        found = _honest(data, case, prediction, prompts.target_sum, n_splits=n_splits)
        scores = {name: value for name, value in found.items() if name not in _NOT_OF_A_METHOD}
    return {**scores, **meter.record("predict")}


def _prompts(data: FoldData, case: Case, protocol: str) -> Prompts:
    measured, genes = case.measured, data.fold.genes
    scale = _scale(case)
    if protocol == HONEST:
        columns = np.asarray(case.section.slide.table.var_names.get_indexer(pd.Index(genes)), dtype=np.int64)
        return Panel(genes, columns).prompts(measured, scale)
    counts, totals = _truth(data, case, np.arange(measured.mask.size))
    smoothed = published_counts(counts, totals, case.section.slide.pitch_positions())[measured.index]
    depths = np.full(measured.index.size, _PUBLISHED_TOTAL)
    return Prompts(measured.index, smoothed.astype(np.float32), depths, scale, genes)


def _scale(case: Case) -> float:
    """Scale of predictions, and of the log-normalised target: the median total of the prompts."""
    return common_target_sum([case.measured], None, DEFAULT_TARGET_SUM)


def _truth(data: FoldData, case: Case, spots: NDArray[np.int64]) -> tuple[Any, NDArray[np.float64]]:
    slide = case.section.slide
    return case.section.reading.counts(slide.table, slide.rows[spots], genes=data.fold.genes)


def _honest(data: FoldData, case: Case, prediction: Prediction, scale: float, *, n_splits: int) -> dict[str, float]:
    """Scores at the held-out spots: means over genes, and numbers of the whole section."""
    held_out = case.held_out
    counts, totals = _truth(data, case, held_out)
    table = score_section(
        counts,
        totals,
        case.section.slide.pitch_positions()[held_out],
        prediction.mean[held_out],
        scale,
        genes=data.fold.genes,
        top_genes=data.top_genes,
        extra=data.scoring.extra,
        markers=data.scoring.markers,
        n_splits=n_splits,
        seed=case.mask,
    )
    scores = dict(table.attrs["means"])
    if data.top_genes is not None:
        scores["pcc_top"] = table.attrs["means_top"]["pcc"]
    return {**scores, **table.attrs.get("summary", {})}


def _as_published(data: FoldData, case: Case, prediction: Prediction, scale: float) -> dict[str, float]:
    counts, totals = _truth(data, case, np.arange(case.measured.mask.size))
    positions = case.section.slide.pitch_positions()
    with warnings.catch_warnings():  # said once, by the call
        warnings.simplefilter("ignore", UserWarning)
        table = score_published(
            counts, totals, positions, prediction.mean, scale, case.measured.mask, genes=data.fold.genes
        )
    return dict(table.attrs["means"])


def guarded(run: Callable[[], tuple[pd.DataFrame, bool]], labels: Mapping[str, Any]) -> tuple[pd.DataFrame, bool]:
    """Rows of a unit; of one that fails a single row with the error, and a warning, so that the others go on."""
    try:
        return run()
    except Exception as error:  # noqa: BLE001 - whatever a method raises, the other methods are still to be run
        said = _said(error)
        msg = f"Method {labels['method']!r} failed in fold {labels['fold']!r} and has no scores there: {said}."
        several = f"Method {labels['method']!r} failed in folds {{which}} and has no scores there: {said}."
        warn_of_each(msg, each=repr(labels["fold"]), several=several)
        row = dict.fromkeys(COLUMNS, "") | dict(labels)
        row |= {"mask": -1, "metric": "error", "value": float("nan"), "error": said}
        return pd.DataFrame([row])[list(COLUMNS)], False


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _rows(labels: Mapping[str, Any], values: Mapping[str, float]) -> list[dict[str, Any]]:
    known = {name: float(value) for name, value in values.items() if np.isfinite(value)}
    return [{**labels, "metric": name, "value": value, "error": ""} for name, value in known.items()]


def _table(rows: Sequence[Mapping[str, Any]], fold: Fold) -> pd.DataFrame:
    return pd.DataFrame([{"fold": fold.name, **row} for row in rows], columns=list(COLUMNS))
