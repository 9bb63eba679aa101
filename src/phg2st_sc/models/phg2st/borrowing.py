"""How the default predicts a slide with the help of priors: each of them, and the slide alone, in one stack.

Left-out prompts say what each is worth, for three groups of genes. The slide alone is predicted as without priors, and what
takes its place must have earned it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays
from ...linear import Field, RateScale, Working, even_subset, matched_folds
from .conditioning import Encoded
from .form import LEAST_AGREEMENT, SLIDE, SLIDE_WITHOUT_IMAGE, Predictor, looked_at
from .knowledge import Expectations
from .lent import Fitted, Lent
from .parts import COHORT_IMAGE, GUARD, PROPAGATION
from .propagated import Looks
from .stacking import MIN_PROMPTS, Predict, Stack, learn_stack
from .trends import OTHER_PATIENTS

Array = NDArray[np.float64]

_MISLED = 3.0
"""Standard errors by which the slide alone must be ahead of a prior on left-out prompts to come first."""
_MAX_STACKED = 300


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
        return self.predictor._working(prompts)

    def field(self, working: Working) -> tuple[Field, dict[str, Any]]:
        out = self.predictor._condition(self.encoded, working)
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
        told: dict[str, Any] = {"priors": {name: one.prior.told for name, one in helped.items()}}
        forms = _in_order(helped, alone)
        first = next(iter(forms))
        if len(forms) > 1 and prompts.n_prompts >= MIN_PROMPTS and not self.alone.without & {GUARD, PROPAGATION}:
            common = self._common(list(helped.values()))
            stack = self._stack(slide, forms, prompts, common)
            position = list(forms).index(SLIDE)
            if first != SLIDE and stack.records[position].beats(stack.records[0], standard_errors=_MISLED):
                forms = {SLIDE: forms.pop(SLIDE), **forms}
                first, told["cohort_misleads"] = SLIDE, True
                stack = self._stack(slide, forms, prompts, common)
            told["compared"] = {name: one.scores for name, one in zip(forms, stack.records, strict=True)}
            if not stack.first_alone:
                told["forms"] = list(forms)
                told["weights"] = [[float(weight) for weight in row] for row in stack.weights]
                return self._mixed(forms, stack, prompts, common, {"form": first, **told}, genes)
        working = forms[first].working(prompts)
        field, details = _field(forms[first], working, prompts)
        return working.finish(field, details={"form": first, **details, **told}, genes=genes)

    def _slide_alone(self, slide: SlideArrays, seen: Borrower, prompts: Prompts) -> _Alone:
        forms = {name: _Form(self.alone, one) for name, one in seen.encoded.items()}
        ordered = tuple(forms[name] for name in (SLIDE, SLIDE_WITHOUT_IMAGE) if name in forms)
        judged = len(ordered) > 1 and prompts.n_prompts >= MIN_PROMPTS and not self.alone.without & {GUARD, PROPAGATION}
        return _Alone(ordered, self.alone._stack(slide, seen.encoded, prompts) if judged else None)

    def _helped(self, prior: Lent, by_image: Array | None, alone: _Alone, prompts: Prompts) -> _Helped | None:
        fitted = prior.to(prompts)
        if fitted is None:
            return None
        if not _trusted(fitted):
            fitted = fitted.with_own_levels(prompts)
        expected = Expectations(None if by_image is None else by_image @ fitted.turn, OTHER_PATIENTS, ())
        predictor = replace(self.alone, knowledge=fitted.knowledge)
        return _Helped(fitted, _Form(predictor, Encoded(alone.forms[0].encoded.places, expected)), alone)

    def _common(self, priors: Sequence[_Helped]) -> Predictor:
        """The scale on which predictions are compared and mixed: noise of genes as the priors know it."""
        known = np.stack([one.prior.known for one in priors])
        logs = np.stack([np.log(one.prior.knowledge.spread) for one in priors])
        spread = np.exp((logs * known).sum(axis=0) / np.maximum(known.sum(axis=0), 1))
        first = priors[0].prior.knowledge
        return replace(self.alone, knowledge=replace(first, spread=spread))

    def _stack(self, slide: SlideArrays, forms: dict[str, Any], prompts: Prompts, common: Predictor) -> Stack:
        kept = even_subset(prompts.n_prompts, _MAX_STACKED)
        few = prompts.subset(kept)
        folds = matched_folds(slide.positions, few.index, seed=self.alone.seed)
        spots, few = few.index, replace(few, index=np.arange(few.n_prompts))

        def predicts(form: Any) -> Predict:
            here = form.take(spots)

            def predict(working: Working) -> Array:
                shown = few.subset(np.flatnonzero(np.isin(few.index, working.index)))
                own = here.working(shown)
                return brought(_field(here, own, shown)[0], own.scale, working.scale).whole()

            return predict

        return learn_stack([predicts(form) for form in forms.values()], few, folds, common._working)

    def _mixed(
        self,
        forms: dict[str, Any],
        stack: Stack,
        prompts: Prompts,
        common: Predictor,
        told: dict[str, Any],
        genes: NDArray[np.int64] | None,
    ) -> Prediction:
        working, fields, details = common._working(prompts), [], {}
        for number, form in enumerate(forms.values()):
            if number and not stack.weights[:, number].any():
                fields.append(None)
                continue
            own = form.working(prompts)
            field, facts = _field(form, own, prompts)
            fields.append(brought(field, own.scale, working.scale))
            details = details or facts
        return working.finish(stack.combine(fields), details={**details, **told}, genes=genes)


def _trusted(prior: Fitted) -> bool:
    """Whether a prior comes before the slide alone as long as left-out prompts do not say otherwise."""
    return prior.asked if prior.agreement is None else prior.agreement >= LEAST_AGREEMENT


def _in_order(helped: dict[str, _Helped], alone: _Alone) -> dict[str, Any]:
    """All forms, the most trusted first: priors whose levels agree, the best first; the slide; the other priors."""
    ranked = sorted(helped.items(), key=lambda one: -(one[1].prior.agreement or 0.0))
    before = {name: one for name, one in ranked if _trusted(one.prior)}
    return {**before, SLIDE: alone, **{name: one for name, one in ranked if name not in before}}


def _field(form: Any, working: Working, prompts: Prompts) -> tuple[Field, dict[str, Any]]:
    return form.field(working, prompts) if isinstance(form, _Helped) else form.field(working)


def brought(field: Field, own: RateScale, other: RateScale) -> Field:
    """Whitened rates of one scale on another."""
    mine, yours = (np.sqrt(one.level) * (1.0 if one.spread is None else one.spread) for one in (own, other))
    factor, offset = mine / yours, (own.level - other.level) / yours
    return field.change(lambda values, rows: values * factor + offset)
