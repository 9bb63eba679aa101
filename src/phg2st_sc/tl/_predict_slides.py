"""Predict every slide of an object by a method: what ``predict`` and ``impute`` share. Nothing is written."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._progress import bar, is_shown, parts
from .._provenance import trained_on
from .._reading import (
    DEFAULT_TARGET_SUM,
    Measured,
    Panel,
    Reading,
    check_asked,
    choose_rep,
    common_target_sum,
    different,
    embedding_call,
    find_unmeasured,
    has_features,
    identity,
    measured_somewhere,
    model_panel,
    prompted_panel,
    read_measured,
    slide_arrays,
    warn_of_pictures,
    why_ignored,
    without_features,
)
from .._slide import embedding_records, n_columns
from .._text import quoted
from .._warn import warn_of_each, warn_user
from ..models import DEFAULT_METHOD
from ._assessed import warn_of_untold
from ._low_rank import Factored
from ._memory import sizes_of, warn_of_memory
from ._one_slide import Question
from ._predictions import Predicted
from ._priors import Offered, with_priors

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide
    from ..models import Estimator, Prediction

logger = logging.getLogger("phg2st_sc")


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of the slides of one object, and all that is known before it is answered.

    Attributes
    ----------
    table, slides, estimator, reading, rep, seed
        As in :class:`Predicted`.
    measured
        Prompts of the slides.
    panel, shown
        The genes that the method works with, and which of them are returned.
    target_sum
        Scale of the predictions.
    questions
        By name of the slide.
    priors
        As in :class:`Predicted`.
    cards
        What priors that help were learned from, by name.
    """

    table: AnnData
    slides: list[Slide]
    estimator: Estimator
    reading: Reading
    rep: str | None
    seed: int
    measured: list[Measured]
    panel: Panel
    shown: NDArray[np.int64]
    target_sum: float
    questions: dict[str, Question]
    priors: Mapping[str, Any]
    cards: Mapping[str, Mapping[str, Any]]

    @property
    def image_side(self) -> dict[str, Any]:
        """How :func:`slide_arrays` is to make the image side of the slides."""
        estimator = self.estimator
        looks = {"patches": estimator.reads_patches, "context": estimator.reads_context}
        return {"rep": self.rep, "hypergraph_key": estimator.card.get(_keys.HYPERGRAPH_KEY), **looks}

    def here(self, progress: bool | None) -> Predicted:
        """Answers of this process, slide after slide."""
        with parts(progress):
            slides = bar(
                self.measured, progress=is_shown(progress) and len(self.measured) > 1, desc="predict", unit="slide"
            )
            return self.answered({one.slide.name: self._answer(one) for one in slides})

    def _answer(self, measured: Measured) -> Prediction:
        return self.questions[measured.slide.name].answer(
            self.estimator, slide_arrays(measured.slide, **self.image_side)
        )

    def answered(self, predictions: Mapping[str, Prediction | Factored]) -> Predicted:
        """Predictions of all slides, with what is to be said of them."""
        _report(self.measured, predictions)
        table, panel, shown = self.table, self.panel, self.shown
        lacking = {name: one.lacking for name, one in self.questions.items()}
        return Predicted(
            table=table,
            slides=self.slides,
            mask=_mask(table, self.measured),
            genes=tuple(table.var_names[panel.columns[shown]]),
            target_sum=self.target_sum,
            by_slide=cast("dict[str, Prediction]", dict(predictions)),  # only scores are asked of what is factored
            estimator=self.estimator,
            reading=self.reading,
            rep=self.rep,
            trained_on={one.slide.name: _training_slide(self.estimator.card, self.cards, one) for one in self.measured},
            seed=self.seed,
            not_measured={name: _names(table, panel, shown[gaps]) for name, gaps in lacking.items()},
            lacking=lacking,
            priors=self.priors,
        )


def predict_slides(data: Any, said: Reading, estimator: Estimator, *, progress: bool | None, **asked: Any) -> Predicted:
    """Predict every slide of an object from its prompts, in this process; see :func:`ask`."""
    return ask(data, said, estimator, **asked).here(progress)


def ask(
    data: Any,
    said: Reading,
    estimator: Estimator,
    *,
    prompt_mask: Any,
    genes: Sequence[str] | None,
    seed: int,
    by_default: bool,
    given: Offered | None = None,
    uncertainty: bool = False,
    n_samples: int = 0,
) -> Asked:
    """Read the prompts of every slide of an object, and see what is to be predicted.

    Parameters
    ----------
    data
        AnnData or SpatialData.
    said
        How the call says that the object is to be read. A model's own reading stands where the call says nothing.
    estimator
        Method or model.
    prompt_mask, genes, seed
        As in :func:`phg2st_sc.tl.predict`.
    by_default
        Whether the method was not chosen by the user, who is then told where it does without the image.
    given
        Priors to help the default.
    uncertainty, n_samples
        Whether it is also asked how far the predictions can be trusted, and maps to draw from what is not known.
    """
    reading = said.after(reading_of(estimator.card), data, of="The model was trained")
    slides = reading.slides(data)
    table = slides[0].table
    _check_patient_key(said, table)
    reading.say_no_genes(slides)
    panel = None if estimator.genes is None else model_panel(table, estimator.genes, gene_key=reading.gene_key)
    measured = _measured(slides, reading, estimator, prompt_mask)
    measured = find_unmeasured(measured, None if panel is None else _cohort_counts(estimator, panel, table))
    check_asked(table, measured, genes)
    panel = prompted_panel(table, measured, genes) if panel is None else panel.among(measured_somewhere(measured))
    shown = panel.shown(table, genes)
    fallback = float(estimator.card.get(_keys.TARGET_SUM, DEFAULT_TARGET_SUM))
    scale = common_target_sum(measured, reading.target_sum, fallback)
    rep = features_of_method(table, said, reading, estimator)
    estimator, helped_by = with_priors(estimator, given or Offered(), table, rep, reading.gene_key)
    _warn_without_image(slides, rep, by_default=by_default)
    warn_of_pictures(slides, [rep if has_features(slide, rep) else None for slide in slides])
    sizes = {"n_genes": len(panel.genes), "n_shown": shown.size}
    warn_of_memory(
        estimator, {one.slide.name: sizes_of(one.slide, rep, n_prompts=one.index.size, **sizes) for one in measured}
    )
    more: dict[str, Any] = {"assessed": uncertainty, "n_samples": n_samples, "seed": seed}
    questions = {one.slide.name: replace(Question.of(one, estimator, panel, shown, scale), **more) for one in measured}
    cards = {name: (given or Offered()).by_name[name].card for name in helped_by.get("used", {})}
    return Asked(
        table, slides, estimator, reading, rep, seed, measured, panel, shown, scale, questions, helped_by, cards
    )


def _measured(slides: Sequence[Slide], reading: Reading, estimator: Estimator, prompt_mask: Any) -> list[Measured]:
    measured = [read_measured(reading, slide, prompt_mask, allow_zero=estimator.is_fitted) for slide in slides]
    for one in measured:
        _check_number(estimator, one)
    return measured


def _cohort_counts(estimator: Estimator, panel: Panel, table: AnnData) -> tuple[NDArray[np.float64], float] | None:
    """Counts of each feature on the slides of a model, and all of them; ``None`` where it was saved without."""
    counts, total = (estimator.card.get(name) for name in (_keys.GENE_COUNTS, _keys.N_COUNTS))
    if counts is None or total is None or len(counts) != len(panel.genes):
        return None
    there = panel.columns >= 0
    sums = np.zeros(table.n_vars)
    sums[panel.columns[there]] = np.asarray(counts, dtype=np.float64)[there]
    return sums, float(total)


def _names(table: AnnData, panel: Panel, which: NDArray[np.int64]) -> list[str]:
    return [str(name) for name in table.var_names[panel.columns[which]]]


def reading_of(card: dict[str, Any]) -> dict[str, Any]:
    """How a model was trained to read; one that was saved before this was kept knows its patients, and counted all features."""
    before = {_keys.PATIENT_KEY: card.get(_keys.PATIENT_KEY)} | ({_keys.GEX_ONLY: False} if card else {})
    return {**before, **card.get(_keys.READING, {})}


def _mask(table: AnnData, measured: Sequence[Measured]) -> NDArray[np.bool_]:
    mask = np.zeros(table.n_obs, dtype=bool)
    for one in measured:
        mask[one.slide.rows] = one.mask
    return mask


def _check_patient_key(said: Reading, table: AnnData) -> None:
    if said.patient_key is not None and said.patient_key not in table.obs:
        msg = f"No column {said.patient_key!r} in obs with the patient; there are: {quoted(table.obs.columns)}."
        raise KeyError(msg)


def _check_number(estimator: Estimator, measured: Measured) -> None:
    n, name = measured.index.size, measured.slide.name
    if n == 0 and estimator.is_fitted:
        rest = "no prompts: predicted from the model alone, at the level of its cohort."
        warn_of_each(f"Slide {name!r} has {rest}", each=repr(name), several=f"Slides {{which}} have {rest}")
    elif not estimator.is_fitted and n < estimator.min_prompts:
        msg = (
            f"Method {estimator.name!r} needs at least {estimator.min_prompts} prompts, and slide {name!r} has {n}: measure "
            "more spots, or use method 'prompt_mean' or 'idw'."
        )
        raise ValueError(msg)


def _training_slide(card: Mapping[str, Any], priors: Mapping[str, Mapping[str, Any]], measured: Measured) -> str:
    """Name of the training slide, of a model or of priors, that this slide is; empty for a new one."""
    slide = measured.slide
    names = slide.table.obs_names[slide.rows[measured.index]]
    for name, of_prior in priors.items():
        if known := trained_on(of_prior, names, measured.totals):
            _warn_of_prior(name, slide.name, known)
            return known
    known = trained_on(card, names, measured.totals)
    if known:
        msg = (
            f"The model was trained on slide {slide.name!r} itself (as {known!r}) and has read every spot of it: a score on "
            "this slide means nothing. Train without it to predict or score it."
        )
        several = (
            "The model was trained on the slides {which} themselves, and has read every spot of them: scores on these slides "
            "mean nothing. Train without them to predict or score them."
        )
        warn_of_each(msg, each=f"{slide.name!r} (as {known!r})", several=several)
    return known


def _warn_of_prior(prior: str, slide: str, known: str) -> None:
    rest = "A score on {this} means nothing: leave the prior out to predict or score {it}."
    msg = (
        f"Prior {prior!r} was trained on slide {slide!r} itself (as {known!r}) and has read every spot of it. "
        f"{rest.format(this='this slide', it='it')}"
    )
    several = (
        f"Prior {prior!r} was trained on the slides {{which}} themselves, and has read every spot of them. "
        f"{rest.format(this='these slides', it='them')}"
    )
    warn_of_each(msg, each=f"{slide!r} (as {known!r})", several=several)


def features_of_method(table: AnnData, said: Reading, reading: Reading, estimator: Estimator) -> str | None:
    """Key in ``obsm`` of the embeddings to use, where the method looks at any, or the call names some."""
    looks = estimator.needs_image or estimator.uses_image or estimator.name == DEFAULT_METHOD
    rep = None
    if looks or said.use_rep is not None:
        like = estimator.card.get(_keys.FEATURES)
        rep = choose_rep(table, reading.use_rep, trust_rep=reading.trust_rep, like=like)
    _check_features(table, rep, estimator)
    return rep


def _check_features(table: AnnData, rep: str | None, estimator: Estimator) -> None:
    """A model takes features of the encoder and geometry that it was trained on, and no others."""
    wanted, recorded = estimator.card.get(_keys.FEATURES), embedding_records(table)
    if rep is None and (estimator.needs_image or estimator.uses_image):
        # none fits: say what is wrong with the one that is there
        rep = next((key for key in recorded if key in table.obsm), None)
    if rep is None and estimator.needs_image and why_ignored(table):
        msg = (
            f"Method {estimator.name!r} needs image features, and there are none:{why_ignored(table)} Else call "
            "`phg2st_sc.pp.extract_embeddings(data)`, or use a method without an image such as 'kriging'."
        )
        raise ValueError(msg)
    if not wanted or rep is None:
        return
    have = {**identity(recorded.get(rep, {})), _keys.DIM: n_columns(table.obsm[rep])}
    there = {**identity(wanted), _keys.DIM: wanted.get(_keys.DIM)}
    wrong = [key for key in different(have, there) if key in have and key in wanted]
    if wrong:
        key = wrong[0]
        msg = (
            f"obsm[{rep!r}] has {_said(key, have[key])}, and the model was trained on {_said(key, there[key])}: run "
            f"{embedding_call(wanted)}."
        )
        raise ValueError(msg)


def _said(key: str, value: Any) -> str:
    if key == _keys.POOL_UM:
        return f"patches pooled over {' to '.join(f'{side:.3g}' for side in sorted(set(value)))} µm"
    return f"{value} features" if key == _keys.DIM else f"{key} {value!r}"


def _warn_without_image(slides: Sequence[Slide], rep: str | None, *, by_default: bool) -> None:
    if rep is None:
        if by_default and without_features(slides, [rep] * len(slides)):
            msg = (
                "No image features: predicted from places and prompts alone; call `phg2st_sc.pp.extract_embeddings(data)` "
                f"first to use the image.{why_ignored(slides[0].table)}"
            )
            warn_user(msg)
        return
    lacking = [slide.name for slide in slides if not has_features(slide, rep)]
    if lacking:
        msg = (
            f"obsm[{rep!r}] is NaN throughout on {len(lacking)} of {len(slides)} slides ({quoted(lacking)}): predicted from "
            "places and prompts alone there; call `phg2st_sc.pp.extract_embeddings(data)` to use the image."
        )
        warn_user(msg)


def _report(measured: Sequence[Measured], predictions: Mapping[str, Prediction | Factored]) -> None:
    for one in measured:
        _report_slide(one, predictions[one.slide.name])
        warn_of_untold(one.slide.name, predictions[one.slide.name].assessment)


def _report_slide(measured: Measured, prediction: Prediction | Factored) -> None:
    """Log how left-out prompts were predicted; warn where nothing predicted them, or the tissue is another one."""
    name, details = measured.slide.name, prediction.details
    if details.get("another_tissue"):
        msg = (
            f"Slide {name!r} looks like another tissue than the model was trained on: gene levels agree with a rank "
            f"correlation of only {details['level_agreement']:.2f}. It is predicted from its own prompts, as without a model. "
            "Check that counts and gene names are what they should be."
        )
        several = (
            "Slides {which} look like another tissue than the model was trained on: gene levels agree with a rank correlation "
            "of no more than the number in brackets. They are predicted from their own prompts, as without a model. "
            "Check that counts and gene names are what they should be."
        )
        warn_of_each(msg, each=f"{name!r} ({details['level_agreement']:.2f})", several=several)
    chosen, compared = details.get("chosen"), details.get("compared")
    if not compared:
        if chosen is not None:
            logger.info("slide %r: predicted by %r, without a comparison on its prompts", name, chosen)
        return
    best = max(scores["correlation"] for scores in compared.values())
    if chosen is not None:
        logger.info("slide %r: predicted by %r, the best of %d on prompts left out", name, chosen, len(compared))
    else:
        logger.info("slide %r: prompts left out in turn are predicted with a mean correlation of %.2f", name, best)
    # among many weak genes a mean correlation over left-out folds lies below 0 even where the strong ones are predicted
    if best <= 0 and max(scores["explained"] for scores in compared.values()) <= 0:
        msg = (
            f"Nothing is predictable from these prompts: over the {measured.index.size} prompts of slide {name!r}, left out "
            f"in turn, neither correlation (best: {best:.2f}) nor squares explained come out above 0. Check that counts and "
            "spot centres belong together, or measure more spots."
        )
        several = (
            "Nothing is predictable from the prompts of slides {which}: left out in turn, neither correlation (the best in "
            "brackets) nor squares explained come out above 0. Check that counts and spot centres belong together, or measure "
            "more spots."
        )
        warn_of_each(msg, each=f"{name!r} ({best:.2f})", several=several)
