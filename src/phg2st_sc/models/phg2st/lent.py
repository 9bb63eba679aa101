"""What a prior knows, told in the genes of one slide.

A prior was learned over genes of its own. Of the covariance of its signal the part that the slide measured is taken, and
scaled to what these genes are worth among all genes of the slide; the gene components of that part take the place of the prior's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prompts
from ...linear import CohortRegression, GeneBasis, RateScale
from .agreement import level_agreement
from .knowledge import Knowledge

Array = NDArray[np.float64]

_LEAST_SCALE = 1e-4
"""Of the strongest component, below which there is none."""
_SPOTS_TO_TELL = 10
_FEW_SPOTS_SHARE, _LEAST_SHARE = 0.1, 0.01
"""Of the variance between cells: where too few prompts can tell, as of spots of ten cells; and at least."""


@dataclass(frozen=True, eq=False)
class Lent:
    """A prior that is lent to a slide.

    Attributes
    ----------
    name
        Of the prior.
    genes
        Its genes as the object of the slide calls them; empty where the object has none of that name.
    knowledge
        What it knows; without an image regression where the features of the slide are of another kind.
    asked
        Whether it was named, and not merely offered.
    of_cells
        Whether it was learned from single cells: spots of many cells vary less, by how much the prompts say.
    """

    name: str
    genes: tuple[str, ...]
    knowledge: Knowledge
    asked: bool = True
    of_cells: bool = False

    @property
    def regression(self) -> CohortRegression | None:
        """Image regression of the prior, in its own components."""
        return self.knowledge.regression

    def to(self, prompts: Prompts) -> Fitted | None:
        """What it knows of the genes at the prompts; ``None`` where that is fewer than two."""
        place = {gene: position for position, gene in enumerate(prompts.genes)}
        own = np.array([number for number, gene in enumerate(self.genes) if gene in place], dtype=np.int64)
        there = np.array([place[self.genes[number]] for number in own], dtype=np.int64)
        if own.size < 2 or self.knowledge.levels[own].sum() <= 0:
            return None
        counts = prompts.counts.sum(axis=0, dtype=np.float64)
        fitted = _fitted(self, own, there, counts)
        return replace(fitted, knowledge=_of_spots(fitted.knowledge, prompts)) if self.of_cells else fitted


@dataclass(frozen=True, eq=False)
class Fitted:
    """A prior in the genes of a slide.

    Attributes
    ----------
    name, asked
        Of the prior.
    knowledge
        In the genes of the slide; levels of genes that the prior does not know are the slide's own.
    known
        (G,) which genes the prior knows.
    turn
        (k, c) from components of the prior to those of ``knowledge``.
    agreement
        Rank correlation of the levels of the genes that both know; ``None`` where there are too few counts to tell.
    """

    name: str
    asked: bool
    knowledge: Knowledge
    known: NDArray[np.bool_]
    turn: Array
    agreement: float | None

    @property
    def told(self) -> dict[str, Any]:
        """Facts for the record."""
        agreement = {} if self.agreement is None else {"level_agreement": self.agreement}
        return {"n_genes": int(self.known.sum()), **agreement}

    def with_own_levels(self, prompts: Prompts) -> Fitted:
        """The same where the levels of its genes are those of another tissue, and none to shrink to."""
        return replace(self, knowledge=replace(self.knowledge, levels=_shares(prompts.counts.sum(axis=0))))


def _fitted(prior: Lent, own: NDArray[np.int64], there: NDArray[np.int64], counts: Array) -> Fitted:
    knowledge, n_genes = prior.knowledge, counts.size
    levels = _shares(counts)
    amount = float(levels[there].sum())  # that its genes have of all genes of the slide
    share = knowledge.levels[own] / knowledge.levels[own].sum()
    levels[there] = amount * share
    # whitened rates of a gene grow with the root of its share, which depends on what it is a share of
    scale = np.sqrt(amount * knowledge.levels.sum() / knowledge.levels[own].sum())
    few = knowledge.basis.vectors[own] * scale
    vectors, singular, _ = np.linalg.svd(few * knowledge.scale, full_matrices=False)
    kept = singular > _LEAST_SCALE * singular[0]
    basis = np.zeros((n_genes, int(kept.sum())))
    basis[there] = vectors[:, kept]
    spread, known = np.ones(n_genes), np.zeros(n_genes, dtype=bool)
    spread[there], known[there] = knowledge.spread[own], True
    return Fitted(
        prior.name,
        prior.asked,
        Knowledge(
            levels,
            spread,
            GeneBasis(basis, singular[kept] ** 2),
            slopes=knowledge.slopes,
            share=min(knowledge.share * float(knowledge.levels[own].sum() / knowledge.levels.sum()) / amount, 1.0),
        ),
        known,
        few.T @ vectors[:, kept],
        level_agreement(counts[there], share),
    )


def _of_spots(knowledge: Knowledge, prompts: Prompts) -> Knowledge:
    """Components of cells with the variance that they have between prompts: of all together, which few prompts can tell."""
    basis = knowledge.basis
    totals = prompts.counts.sum(axis=1, dtype=np.float64)
    used = totals > 0
    share = _FEW_SPOTS_SHARE
    if used.sum() >= _SPOTS_TO_TELL and basis.variance is not None:
        scale = RateScale.from_counts(prompts.counts[used], totals[used])
        columns = scale.whiten(prompts.counts[used], totals[used]) @ basis.vectors
        beyond = totals[used] @ (columns**2 - 1.0 / totals[used, None]) / totals.sum()
        share = float(np.clip(beyond.sum() / basis.variance.sum(), _LEAST_SHARE, 1.0))
    variance = None if basis.variance is None else basis.variance * share
    return replace(knowledge, basis=GeneBasis(basis.vectors, variance))


def _shares(counts: Array) -> Array:
    counts = np.maximum(np.asarray(counts, dtype=np.float64), 0.5)
    return np.asarray(counts / counts.sum())
