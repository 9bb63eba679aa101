"""BestSimple: the simple method that predicts the slide's own left-out prompts best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ._base import Estimator
from ._data import Prediction, Prompts, SlideArrays
from ._folds import matched_folds
from ._gaussian import Skill
from ._krige import even_subset
from ._registry import get_method, register
from ._working import Working

CANDIDATES = (
    "space_image_kriging",
    "gene_kriging",
    "regression_kriging",
    "kriging",
    "image_ridge",
    "idw",
    "prompt_mean",
)
"""In order of preference: the first that can run is kept unless another is clearly better."""
MIN_TO_COMPARE = 10
"""Prompts below which the preferred method is taken without a comparison."""
_MAX_COMPARED = 600
_MAX_SPOTS = 2000
"""Spots of the slide that the comparison predicts: enough for its image components, few enough for a slide of any size."""


@register
class BestSimple(Estimator):
    """Choose among the single-slide methods by cross-validation over the slide's prompts.

    Every prompt is predicted from prompts of other folds (:func:`._folds.matched_folds`). A method's skill is the
    noise-weighted sum of squares of whitened rates that it explains there. The preferred method (space + image kriging
    where there is an image, else kriging in gene components) gives way only to one that beats it by two standard errors;
    with fewer than 10 prompts it is taken as it is.

    Parameters
    ----------
    candidates
        Methods to choose from, the preferred first.
    seed
        Seed of the folds.
    """

    name = "best_simple"

    def __init__(self, *, candidates: Sequence[str] = CANDIDATES, seed: int = 0) -> None:
        self.candidates, self.seed = tuple(candidates), seed

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        methods = self._able(slide, prompts)
        chosen, scores = methods[0], {}
        if prompts.n_prompts >= MIN_TO_COMPARE and len(methods) > 1:
            skills = self._compare(methods, slide, prompts)
            scores = {m.name: _share_explained(s) for m, s in zip(methods, skills, strict=True)}
            chosen = _pick(methods, skills)
        prediction = chosen.predict(slide, prompts)
        details = {"chosen": chosen.name, "explained": scores, **prediction.details}
        return Prediction(prediction.mean, prediction.std, prediction.trust, details)

    def _able(self, slide: SlideArrays, prompts: Prompts) -> list[Estimator]:
        classes = [get_method(name) for name in self.candidates]
        able = [
            c()
            for c in classes
            if not (c.needs_image and slide.features is None)
            and (prompts.n_prompts >= c.min_prompts or c.name == "prompt_mean")
        ]
        if not able:
            msg = f"none of the methods {', '.join(self.candidates)} can run on slide {slide.name!r} with {prompts.n_prompts} prompts"
            raise ValueError(msg)
        return able

    def _compare(self, methods: Sequence[Estimator], slide: SlideArrays, prompts: Prompts) -> list[Skill]:
        kept = np.linspace(0, prompts.n_prompts - 1, min(prompts.n_prompts, _MAX_COMPARED)).astype(np.int64)
        slide, prompts = _reduced(slide, prompts.subset(np.unique(kept)))
        folds = matched_folds(slide.positions, prompts.index, seed=self.seed)
        parts = [_fold_skills(methods, slide, prompts, folds == fold) for fold in np.unique(folds)]
        return [_join(skills) for skills in zip(*parts, strict=True)]


def _reduced(slide: SlideArrays, prompts: Prompts) -> tuple[SlideArrays, Prompts]:
    """Slide with all prompts and an even subset of the other spots."""
    if slide.n_spots <= _MAX_SPOTS:
        return slide, prompts
    others = np.setdiff1d(np.arange(slide.n_spots), prompts.index)
    kept = np.union1d(prompts.index, others[even_subset(others.size, _MAX_SPOTS - prompts.n_prompts)])
    features = None if slide.features is None else slide.features[kept]
    smaller = SlideArrays(slide.name, slide.positions[kept], features, slide.feature_record, slide.patient)
    return smaller, replace(prompts, index=np.searchsorted(kept, prompts.index))


def _fold_skills(
    methods: Sequence[Estimator], slide: SlideArrays, prompts: Prompts, held_out: NDArray[np.bool_]
) -> list[Skill]:
    kept = prompts.subset(np.flatnonzero(~held_out))
    working = Working.of(kept)
    counts = prompts.counts[held_out]
    totals = counts.sum(axis=1, dtype=np.float64)
    seen = totals > 0
    truth = working.scale.whiten(counts[seen], totals[seen])
    noise = np.median(prompts.counts.sum(axis=1)) / totals[seen]
    rows = prompts.index[held_out][seen]
    return [Skill.of(truth, working.whitened_of(m.predict(slide, kept))[rows], noise) for m in methods]


def _join(skills: Sequence[Skill]) -> Skill:
    return Skill(
        np.concatenate([s.cross for s in skills]),
        np.concatenate([s.power for s in skills]),
        np.concatenate([s.total for s in skills]),
    )


def _pick(methods: Sequence[Estimator], skills: Sequence[Skill]) -> Estimator:
    best = int(np.argmax([float(s.explained.sum()) for s in skills]))
    return methods[best] if skills[best].beats(skills[0]) else methods[0]


def _share_explained(skill: Skill) -> float:
    total = float(skill.total.sum())
    return float(skill.explained.sum() / total) if total > 0 else 0.0
