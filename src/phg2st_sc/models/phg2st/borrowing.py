"""How the default predicts a slide with the help of priors: each of them, and the slide alone, in one stack.

Left-out prompts say what each is worth, for three groups of genes. The slide alone is predicted as without priors, and what
takes its place must have earned it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays
from ...linear import MIN_TO_LEAVE_OUT, Field, RateScale, Working, left_out_prompts, level_groups
from .conditioning import Encoded
from .form import SLIDE, SLIDE_WITHOUT_IMAGE, Predictor, looked_at
from .knowledge import Expectations
from .lent import Fitted, Lent
from .parts import COHORT_IMAGE, GUARD, PROPAGATION
from .propagated import Looks
from .stacking import Stack, learn_mixture
from .trends import OTHER_PATIENTS

Array = NDArray[np.float64]

MIXED = "mixed"
"""The slide alone and the priors, as they are trusted before."""
_OTHER_TISSUE, _SAME_TISSUE = 0.4, 0.65
"""Rank correlations of gene levels up to which a prior is of another tissue, and from which on it is of the same."""
_SURE_TISSUE = 0.5
"""Up to which a prior has no weight where there are too few prompts to leave some out."""
_LEAST_TRUST, _MOST_TRUST = 0.15, 0.6
"""Weights of such priors beside the slide alone. Mixed with a little of it a prior of the tissue does better than by itself; and
a little of another tissue's did no harm anywhere."""
_MISLED = 2.0
"""Standard errors by which the slide alone must be ahead of the mixture on left-out prompts to be taken as it is."""


@dataclass(frozen=True, eq=False)
class Borrower:
    """A slide as priors and the default without any see it.

    Attributes
    ----------
    encoded
        The slide alone.
    by_image
        (n, k) what the image regression of each prior says, in its own components.
    """

    encoded: dict[str, Encoded]
    by_image: tuple[Array | None, ...]


@dataclass(frozen=True, eq=False)
class _Form:
    """One way to predict the slide."""

    predictor: Predictor
    encoded: Encoded

    def working(self, prompts: Prompts) -> Working:
        return self.predictor.working_of(prompts)

    def field(self, working: Working) -> tuple[Field, dict[str, Any]]:
        out = self.predictor.conditioned(self.encoded, working)
        return out.prediction, out.details

    def take(self, rows: NDArray[np.int64]) -> _Form:
        return replace(self, encoded=self.encoded.take(rows))


@dataclass(frozen=True, eq=False)
class _Alone:
    """The slide alone, as without priors: with its image and without, as left-out prompts decided."""

    forms: tuple[_Form, ...]
    stack: Stack | None

    def working(self, prompts: Prompts) -> Working:
        return self.forms[0].working(prompts)

    def field(self, working: Working) -> tuple[Field, dict[str, Any]]:
        first, details = self.forms[0].field(working)
        if self.stack is None or self.stack.first_alone:
            return first, details
        others = (
            form.field(working)[0] if self.stack.weights[:, number].any() else None
            for number, form in enumerate(self.forms[1:], start=1)
        )
        return self.stack.combine([first, *others]), details

    def take(self, rows: NDArray[np.int64]) -> _Alone:
        return replace(self, forms=tuple(form.take(rows) for form in self.forms))


@dataclass(frozen=True, eq=False)
class _Helped:
    """A prior; genes that it does not know go by the slide alone."""

    prior: Fitted
    form: _Form
    alone: _Alone

    def working(self, prompts: Prompts) -> Working:
        return self.form.working(prompts)

    def field(self, working: Working, prompts: Prompts) -> tuple[Field, dict[str, Any]]:
        made, details = self.form.field(working)
        if self.prior.known.all():
            return made, details
        own = self.alone.working(prompts)
        rest, known = brought(self.alone.field(own)[0], own.scale, working.scale), self.prior.known
        return made.change(lambda values, rows: np.where(known, values, rest.at(rows))), details

    def take(self, rows: NDArray[np.int64]) -> _Helped:
        return replace(self, form=self.form.take(rows), alone=self.alone.take(rows))


@dataclass(frozen=True, eq=False)
class BorrowingPredictor:
    """The default with priors lent to it.

    Attributes
    ----------
    lent
        The priors.
    alone
        The default without any.
    """

    lent: Sequence[Lent]
    alone: Predictor

    def encode(self, slide: SlideArrays) -> Borrower:
        """The slide as each sees it."""
        looks = Looks(looked_at(slide, self.alone.without), "phg2st")
        return Borrower(self.alone.encode(slide).linear, tuple(self._by_image(one, looks) for one in self.lent))

    def _by_image(self, prior: Lent, looks: Looks) -> Array | None:
        seen = None if COHORT_IMAGE in self.alone.without else prior.knowledge.looks(looks)
        return None if seen is None or prior.regression is None else prior.regression.predict(seen)

    def predict(
        self, slide: SlideArrays, seen: Borrower, prompts: Prompts, genes: NDArray[np.int64] | None = None
    ) -> Prediction:
        """Predict every spot of a slide from its prompts; ``genes`` of the panel, by position, or all."""
        alone = self._slide_alone(slide, seen, prompts)
        priors = [self._helped(one, image, alone, prompts) for one, image in zip(self.lent, seen.by_image, strict=True)]
        helped = {one.prior.name: one for one in priors if one is not None}
        forms: dict[str, Any] = {SLIDE: alone, **helped}
        common, before = (
            self._common(list(helped.values())),
            _before([one.prior for one in helped.values()], few=prompts.n_prompts < MIN_TO_LEAVE_OUT),
        )
        weights = before[None]
        told: dict[str, Any] = {"priors": {name: one.prior.told for name, one in helped.items()}}
        left_out = None
        if helped and prompts.n_prompts >= MIN_TO_LEAVE_OUT and not self._unguarded:
            stack, spots = self._stack(slide, seen, forms, before, prompts, common)
            weights, misled = _weights(stack, before)
            told["compared"] = _compared(stack, forms)
            left_out = partial(stack.left_out, spots, first_alone=misled)
            told |= {"cohort_misleads": True} if misled else {}
        told["shares"] = {name: row.tolist() for name, row in zip(forms, weights.T, strict=True)}
        if (weights[:, 0] == 1).all() and not weights[:, 1:].any():
            working = alone.working(prompts)
            field, details = alone.field(working)
            details = {"form": SLIDE, **details, **told}
            return working.finish(field, details=details, genes=genes, left_out=left_out)
        working = common.working_of(prompts)
        fields, details = self._fields(forms, weights, prompts, working)
        groups = level_groups(working.scale.level) if len(weights) > 1 else np.zeros(prompts.n_genes, dtype=np.int64)
        mixed = Stack(groups, weights).combine(fields)
        return working.finish(mixed, details={**details, **told}, genes=genes, left_out=left_out)

    def _fields(
        self, forms: dict[str, Any], weights: Array, prompts: Prompts, working: Working
    ) -> tuple[list[Field | None], dict[str, Any]]:
        """Predictions that have a weight, and what the strongest of them tells."""
        used = [bool(column.any()) for column in weights.T]
        made = [
            self._brought(form, prompts, working) if there else None
            for form, there in zip(forms.values(), used, strict=True)
        ]
        strongest = int(weights.sum(axis=0).argmax())
        details = (made[strongest] or (None, {}))[1]
        return [None if one is None else one[0] for one in made], {"form": list(forms)[strongest], **details}

    @property
    def _unguarded(self) -> bool:
        return bool(self.alone.without & {GUARD, PROPAGATION})

    def _brought(self, form: Any, prompts: Prompts, working: Working) -> tuple[Field, dict[str, Any]]:
        own = form.working(prompts)
        field, details = _field(form, own, prompts)
        return brought(field, own.scale, working.scale), details

    def _slide_alone(self, slide: SlideArrays, seen: Borrower, prompts: Prompts) -> _Alone:
        forms = {name: _Form(self.alone, one) for name, one in seen.encoded.items()}
        ordered = tuple(forms[name] for name in (SLIDE, SLIDE_WITHOUT_IMAGE) if name in forms)
        judged = len(ordered) > 1 and prompts.n_prompts >= MIN_TO_LEAVE_OUT and not self._unguarded
        return _Alone(ordered, self.alone.stack_of(slide, seen.encoded, prompts)[0] if judged else None)

    def _helped(self, prior: Lent, by_image: Array | None, alone: _Alone, prompts: Prompts) -> _Helped | None:
        fitted = prior.to(prompts)
        if fitted is None:
            return None
        if fitted.agreement is not None and fitted.agreement < _OTHER_TISSUE:
            fitted = fitted.with_own_levels(prompts)
        expected = Expectations(None if by_image is None else by_image @ fitted.turn, OTHER_PATIENTS, ())
        predictor = replace(self.alone, knowledge=fitted.knowledge)
        return _Helped(fitted, _Form(predictor, Encoded(alone.forms[0].encoded.places, expected)), alone)

    def _common(self, priors: Sequence[_Helped]) -> Predictor:
        """The scale on which predictions are compared and mixed: noise of genes as the priors know it."""
        if not priors:
            return self.alone
        known = np.stack([one.prior.known for one in priors])
        logs = np.stack([np.log(one.prior.knowledge.spread) for one in priors])
        spread = np.exp((logs * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
        return replace(self.alone, knowledge=replace(priors[0].prior.knowledge, spread=spread))

    def _stack(
        self,
        slide: SlideArrays,
        seen: Borrower,
        forms: dict[str, Any],
        before: Array,
        prompts: Prompts,
        common: Predictor,
    ) -> tuple[Stack, NDArray[np.int64]]:
        """How the mixture that is trusted before does on left-out prompts, whose spots these are, and each form by itself.

        Priors are told anew in the genes of the prompts that are shown. How the slide alone weighs its image, and the scale on
        which predictions are compared, are known from all prompts: that favors the slide alone, if anything.
        """
        spots, few, folds = left_out_prompts(slide, prompts, seed=self.alone.seed)
        alone = forms[SLIDE].take(spots)
        images = {
            one.name: (one, None if image is None else image[spots])
            for one, image in zip(self.lent, seen.by_image, strict=True)
        }

        def of(name: str, working: Working) -> Array:
            shown = few.subset(np.flatnonzero(np.isin(few.index, working.index)))
            form = alone if name == SLIDE else self._helped(*images[name], alone, shown)
            return self._brought(form, shown, working)[0].whole()

        predict = [partial(of, name) for name in forms]
        return learn_mixture(predict, before, few, folds, common.working_of), spots


def _before(priors: Sequence[Fitted], *, few: bool) -> Array:
    """(1 + priors,) weights of the slide alone and of each prior before left-out prompts are asked: by agreement of levels."""
    trust = np.array([_trust(one, few=few) for one in priors])
    weights, left = np.zeros(1 + len(priors)), 1.0
    for number in np.argsort(-trust, kind="stable"):
        weights[1 + number] = left * trust[number]
        left -= weights[1 + number]
    weights[0] = left
    return weights


def _trust(prior: Fitted, *, few: bool) -> float:
    """Weight of a prior by itself; with few prompts none will say that it misleads, and its levels have to agree.

    Where levels cannot be compared for want of counts, only a prior that was named counts: with few prompts these tell next to
    nothing, and with more a prior of another tissue misled less with the least weight, while one of the same did as well.
    """
    if prior.agreement is None:
        return (_MOST_TRUST if few else _LEAST_TRUST) if prior.asked else 0.0
    least, start = (0.0, _SURE_TISSUE) if few else (_LEAST_TRUST, _OTHER_TISSUE)
    share = (prior.agreement - start) / (_SAME_TISSUE - start)
    return least + (_MOST_TRUST - least) * float(np.clip(share, 0.0, 1.0))


def _weights(stack: Stack, before: Array) -> tuple[Array, bool]:
    """(groups, forms) weights after the left-out prompts, and whether the priors mislead."""
    if stack.records[1].beats(stack.records[0], standard_errors=_MISLED):
        return np.eye(before.size)[:1], True
    return stack.weights, False


def _compared(stack: Stack, forms: dict[str, Any]) -> dict[str, dict[str, float]]:
    return {name: one.scores for name, one in zip((MIXED, *forms), stack.records, strict=True)}


def _field(form: Any, working: Working, prompts: Prompts) -> tuple[Field, dict[str, Any]]:
    return form.field(working, prompts) if isinstance(form, _Helped) else form.field(working)


def brought(field: Field, own: RateScale, other: RateScale) -> Field:
    """Whitened rates of one scale on another."""
    mine, yours = (np.sqrt(one.level) * (1.0 if one.spread is None else one.spread) for one in (own, other))
    factor, offset = mine / yours, (own.level - other.level) / yours
    return field.change(lambda values, rows: values * factor + offset)
