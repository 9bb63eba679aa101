"""How the default method predicts: prompts, image and cohort together, every prompt reaching every spot."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..._arrays import Prediction, Prompts, SlideArrays
from ...linear import MIN_TO_LEAVE_OUT, PRIOR_COUNTS, Working, left_out_prompts
from .agreement import level_agreement
from .conditioning import Conditioned, Encoded, condition
from .episodes import measured
from .knowledge import Knowledge
from .parts import COHORT_IMAGE, DEPTH, GENE_COVARIANCE, GUARD, HYPERGRAPH, IMAGE, NETWORK, PROPAGATION, SERIAL_SECTIONS
from .stacking import Predict, Stack, learn_stack

if TYPE_CHECKING:
    from .network import NetworkMember

Array = NDArray[np.float64]

_NAME = "phg2st"
LEAST_AGREEMENT = 0.3
"""Rank correlation of gene levels below which a slide is of another tissue than the cohort. Breast tumours of different
patients have 0.45 to 0.8, brain and breast 0.05."""
_MISLED = 3.0
"""Standard errors by which the slide alone must be ahead of the cohort on left-out prompts to come first."""


SLIDE, COHORT, SLIDE_WITHOUT_IMAGE = "slide", "cohort", "slide_without_image"
"""What a prediction may rest on, beside the prompts."""


@dataclass(frozen=True, eq=False)
class Forms:
    """A slide as each form sees it, and its tokens for the network where there is one."""

    linear: dict[str, Encoded]
    tokens: Any = None


@dataclass(frozen=True, eq=False)
class Predictor:
    """Kriging of the prompts in a space of places and propagated image, about what a cohort leads one to expect.

    Attributes
    ----------
    knowledge
        What was learned from training slides; ``None`` for the slide alone.
    member
        Networks that are averaged into the prediction of the cohort.
    without
        Parts to leave out.
    seed
        Of the folds of prompts that are left out.
    accelerator, devices
        Where the network predicts.
    """

    knowledge: Knowledge | None = None
    member: NetworkMember | None = None
    without: frozenset[str] = frozenset()
    seed: int = 0
    accelerator: str = "cpu"
    devices: int | str | Sequence[int] = 1

    def encode(self, slide: SlideArrays) -> Forms:
        """The slide under all that a prediction may rest on, the most trusted first."""
        slide = looked_at(slide, self.without)
        encoded = Encoded.of(slide, self.knowledge, _NAME)
        forms = {} if encoded.expected is None else {COHORT: self._reduced(encoded)}
        forms[SLIDE] = Encoded(encoded.places)
        if slide.features is not None:
            forms[SLIDE_WITHOUT_IMAGE] = encoded.without_image()
        if self.member is None or NETWORK in self.without:
            return Forms(forms)
        return Forms(forms, self.member.encode(slide, encoded.places))

    def _reduced(self, encoded: Encoded) -> Encoded:
        """Expectations without what is to be left out."""
        expected = encoded.expected
        if expected is not None and COHORT_IMAGE in self.without:
            expected = replace(expected, by_image=None)
        if expected is not None and SERIAL_SECTIONS in self.without:
            expected = replace(expected, laid=())
        return Encoded(encoded.places, expected)

    def predict(
        self, slide: SlideArrays, encoded: Forms, prompts: Prompts, genes: NDArray[np.int64] | None = None
    ) -> Prediction:
        """Predict every spot of a slide from its prompts; ``genes`` of the panel, by position, or all."""
        working = self.working_of(prompts)
        forms = encoded.linear
        details: dict[str, Any] = {}
        if COHORT in forms and GUARD not in self.without:
            details["level_agreement"] = agreement = self.level_agreement(prompts)
            if agreement < LEAST_AGREEMENT:
                forms = {SLIDE: forms[SLIDE], **forms}
                details["another_tissue"] = True
        first = next(iter(forms))
        out = self.conditioned(forms[first], working)
        details |= {"form": first, **out.details}
        if first == COHORT and encoded.tokens is not None and not {GENE_COVARIANCE, NETWORK} & self.without:
            out = self._with_network(forms[first], encoded.tokens, working, out)
            details["network"] = True
        if GUARD in self.without or working.index.size < MIN_TO_LEAVE_OUT or PROPAGATION in self.without:
            return working.finish(out.prediction, details=details, genes=genes, posterior=out.posterior)
        stack, few = self.stack_of(slide, forms, prompts)
        if first == COHORT and stack.records[1].beats(stack.records[0], standard_errors=_MISLED):
            # weights are drawn towards the first form: few prompts would hardly leave a cohort that misleads
            first, forms = SLIDE, {SLIDE: forms[SLIDE], **forms}
            out = self.conditioned(forms[SLIDE], working)
            details = {"level_agreement": details["level_agreement"], "form": first, **out.details}
            details["cohort_misleads"] = True
            stack, few = self.stack_of(slide, forms, prompts)
        details["compared"] = {name: one.scores for name, one in zip(forms, stack.records, strict=True)}
        if not stack.first_alone:
            details["weights"] = [[float(weight) for weight in row] for row in stack.weights]
        others = [one for name, one in forms.items() if name != first]
        used = [
            self.conditioned(one, working).prediction if stack.weights[:, number].any() else None
            for number, one in enumerate(others, start=1)
        ]
        return working.finish(
            stack.combine([out.prediction, *used]),
            details=details,
            genes=genes,
            left_out=lambda: stack.left_out(few),
            posterior=out.posterior,
        )

    def _with_network(self, encoded: Encoded, tokens: Any, working: Working, out: Conditioned) -> Conditioned:
        """The linear prediction with the network's averaged in."""
        if self.member is None or self.knowledge is None:
            return out
        vectors = self.knowledge.basis.vectors
        shown = measured(working, vectors)
        seen = encoded.expected is not None and encoded.expected.knows_patient
        added = self.member.predict(
            tokens, shown, out.columns, seen=seen, accelerator=self.accelerator, devices=self.devices
        )
        return replace(out, prediction=out.prediction.change(lambda values, rows: values + added[rows] @ vectors.T))

    def level_agreement(self, prompts: Prompts) -> float:
        """Rank correlation of the genes' levels between prompts and cohort; 1 where there is nothing to compare."""
        if self.knowledge is None:
            return 1.0
        found = level_agreement(prompts.counts.sum(axis=0, dtype=np.float64), self.knowledge.levels)
        return 1.0 if found is None else found

    def stack_of(
        self, slide: SlideArrays, forms: dict[str, Encoded], prompts: Prompts
    ) -> tuple[Stack, NDArray[np.int64]]:
        """How far each form is to be trusted, from prompts left out in turn, and their spots; nothing else is predicted."""
        spots, few, folds = left_out_prompts(slide, prompts, seed=self.seed)

        def predicts(form: Encoded) -> Predict:
            here = form.take(spots)
            return lambda working: self.conditioned(here, working).whitened

        return learn_stack([predicts(form) for form in forms.values()], few, folds, self.working_of), spots

    def conditioned(self, encoded: Encoded, working: Working) -> Conditioned:
        """The linear prediction of one form of the slide, without the parts that are left out."""
        return condition(
            self.knowledge,
            encoded,
            working,
            propagation=PROPAGATION not in self.without,
            gene_covariance=GENE_COVARIANCE not in self.without,
        )

    def working_of(self, prompts: Prompts) -> Working:
        """Prompts on the working scale, about the cohort's levels where there is one."""
        known = self.knowledge
        if known is None:
            working = Working.of(prompts)
        else:
            working = Working.of(prompts, prior=known.levels, prior_counts=PRIOR_COUNTS, spread=known.spread)
            if working.index.size == 0:
                working = replace(working, fraction=known.share)
        return replace(working, noise=np.ones_like(working.noise)) if DEPTH in self.without else working


def looked_at(slide: SlideArrays, without: Collection[str]) -> SlideArrays:
    """The slide without what is to be left out."""
    if IMAGE in without:
        slide = replace(slide, features=None, context_index=None, tiles=None)
    if HYPERGRAPH in without:
        slide = replace(slide, incidence=sparse.identity(slide.n_spots, format="csr"))
    return slide
