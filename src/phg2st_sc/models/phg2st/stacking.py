"""Stacking: how far each of several predictions is to be trusted, by gene group, from prompts that were left out in turn.

Weights minimise the depth-weighted squared error at left-out prompts (Wolpert 1992; Breiman 1996), shrunk towards trusting
the first prediction alone: few prompts cannot tell, many can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ..._arrays import Prompts, SlideArrays
from ..._progress import part
from ...linear import Field, Record, Working, even_subset, join, matched_folds, record

Array = NDArray[np.float64]
Predict = Callable[[Working], Array]
"""From prompts on the working scale to whitened predictions (n, G)."""

MIN_PROMPTS = 10
"""Prompts below which nothing is stacked."""
_PRIOR_PROMPTS = 25.0
"""Prompts that trusting the first prediction alone is worth."""
_WORTH = 500.0
"""Of the weights that a mixture is trusted with before, in variances of the counting noise of one gene at one spot."""
_MAX_STACKED = 300
"""Prompts that weights are learned from: an even subset when there are more."""
_N_GROUPS = 3
_STANDARD_ERRORS = 3.0
"""By which another prediction must be better before it has a say: three comparisons are made on few prompts."""


@dataclass(frozen=True, eq=False)
class Stack:
    """Weights of the predictions.

    Attributes
    ----------
    groups
        (G,) group of every gene.
    weights
        (groups, predictions).
    records
        How each did on the left-out prompts, over all genes.
    """

    groups: NDArray[np.int64]
    weights: Array
    records: tuple[Record, ...] = ()

    @property
    def first_alone(self) -> bool:
        """Whether the first prediction is taken as it is."""
        return bool((self.weights == np.eye(self.weights.shape[1])[0]).all())

    def combine(self, predictions: Sequence[Field | None]) -> Field:
        """Weighted sum of predictions (n, G), the first of which is there; ``None`` for one without a weight."""
        by_gene = self.weights[self.groups]
        there = [(one, by_gene[:, number]) for number, one in enumerate(predictions) if one is not None]
        return reduce(Field.plus, [one.times(weight) for one, weight in there])


def gene_groups(working: Working) -> NDArray[np.int64]:
    """Group of every gene by the counts expected of it: a third of the genes in each."""
    ranks = np.argsort(np.argsort(-working.scale.level, kind="stable"), kind="stable")
    return np.asarray(ranks * _N_GROUPS // ranks.size, dtype=np.int64)


def left_out_prompts(
    slide: SlideArrays, prompts: Prompts, *, seed: int
) -> tuple[NDArray[np.int64], Prompts, NDArray[np.int64]]:
    """Prompts that are left out in turn: their spots, themselves as if the slide had no other spots, and their folds."""
    few = prompts.subset(even_subset(prompts.n_prompts, _MAX_STACKED))
    folds = matched_folds(slide.positions, few.index, seed=seed)
    return few.index, replace(few, index=np.arange(few.n_prompts)), folds


def learn_stack(
    predict: Sequence[Predict], prompts: Prompts, folds: NDArray[np.int64], working_of: Callable[[Prompts], Working]
) -> Stack:
    """Weights from left-out prompts.

    Parameters
    ----------
    predict
        Methods: whitened predictions (n, G) from prompts on the working scale. The first is the one that is trusted before;
        in a gene group the others have a say once one of them is better by three standard errors.
    prompts
        Of the slide.
    folds
        Fold of each prompt.
    working_of
        Brings prompts to the working scale.
    """
    groups = gene_groups(working_of(prompts))
    parts = _parts(predict, prompts, folds, working_of)
    prior = _PRIOR_PROMPTS / prompts.n_prompts
    weights = [_group_weights([part.of(groups == group) for part in parts], prior) for group in range(_N_GROUPS)]
    records = tuple(join(one) for one in zip(*(part.records() for part in parts), strict=True))
    return Stack(groups, np.stack(weights), records)


def learn_mixture(
    predict: Sequence[Predict],
    before: Array,
    prompts: Prompts,
    folds: NDArray[np.int64],
    working_of: Callable[[Prompts], Working],
) -> Stack:
    """Weights from left-out prompts, drawn towards those that are trusted before.

    How far depends on the molecules at the prompts: few of them cannot tell predictions apart, however many prompts there are.

    Parameters
    ----------
    predict, prompts, folds, working_of
        As in :func:`learn_stack`.
    before
        (predictions,) weights before the prompts are asked.

    Returns
    -------
    Weights; of the records the first is that of the mixture with the weights ``before``.
    """
    groups = gene_groups(working_of(prompts))
    parts = _parts(predict, prompts, folds, working_of)
    weights = [_group_mixture([part.of(groups == group) for part in parts], before) for group in range(_N_GROUPS)]
    mixed = [replace(part, made=[_mix(part.made, before), *part.made]) for part in parts]
    records = tuple(join(one) for one in zip(*(part.records() for part in mixed), strict=True))
    return Stack(groups, np.stack(weights), records)


def _mix(made: Sequence[Array], weights: Array) -> Array:
    return np.asarray(sum(weight * one for weight, one in zip(weights, made, strict=True)))


def _group_mixture(parts: Sequence[_LeftOut], before: Array) -> Array:
    products = [part.products() for part in parts]
    gram = np.sum([one for one, _ in products], axis=0) + _WORTH * np.eye(before.size)
    cross = np.sum([one for _, one in products], axis=0) + _WORTH * before
    weights = nonnegative(gram, cross)
    return weights if weights.any() else before  # nothing is no prediction


def _parts(
    predict: Sequence[Predict], prompts: Prompts, folds: NDArray[np.int64], working_of: Callable[[Prompts], Working]
) -> list[_LeftOut]:
    every = part(np.unique(folds), desc="leave prompts out", unit="fold")
    return [_left_out(predict, prompts, folds == fold, working_of) for fold in every]


@dataclass(frozen=True, eq=False)
class _LeftOut:
    """Predictions and truth at the left-out prompts of one fold."""

    made: list[Array]
    truth: Array
    totals: Array

    def of(self, genes: NDArray[np.bool_]) -> _LeftOut:
        return _LeftOut([one[:, genes] for one in self.made], self.truth[:, genes], self.totals)

    def records(self) -> list[Record]:
        noise = np.median(self.totals) / self.totals if self.totals.size else self.totals
        return [record(self.truth, one, noise) for one in self.made]

    def products(self) -> tuple[Array, Array]:
        weight = self.totals[:, None]
        gram = np.array([[(weight * a * b).sum() for b in self.made] for a in self.made])
        return gram, np.array([(weight * a * self.truth).sum() for a in self.made])


def _group_weights(parts: Sequence[_LeftOut], prior: float) -> Array:
    size = len(parts[0].made)
    first = np.eye(size)[0]
    if not parts[0].truth.shape[1]:
        return first
    records = [join(one) for one in zip(*(part.records() for part in parts), strict=True)]
    if not any(other.beats(records[0], standard_errors=_STANDARD_ERRORS) for other in records[1:]):
        return first
    products = [part.products() for part in parts]
    return _weights(
        np.sum([gram for gram, _ in products], axis=0), np.sum([cross for _, cross in products], axis=0), prior
    )


def _left_out(
    predict: Sequence[Predict],
    prompts: Prompts,
    held_out: NDArray[np.bool_],
    working_of: Callable[[Prompts], Working],
) -> _LeftOut:
    kept = prompts.subset(np.flatnonzero(~held_out))
    working = working_of(kept)
    counts = prompts.counts[held_out]
    totals = counts.sum(axis=1, dtype=np.float64)
    seen = totals > 0
    truth = working.scale.whiten(counts[seen], totals[seen])
    rows = prompts.index[held_out][seen]
    return _LeftOut([one(working)[rows] for one in predict], truth, totals[seen])


def _weights(gram: Array, cross: Array, prior: float) -> Array:
    """Non-negative weights, drawn towards (1, 0, ...) by ``prior`` times the power of the predictions."""
    first = np.zeros(len(cross))
    first[0] = 1.0
    power = np.maximum(np.diag(gram), 1e-12 * max(float(np.trace(gram)), 1e-300))
    if power.max() <= 0:
        return first
    penalty = prior * np.diag(power)
    return nonnegative(gram + penalty + 1e-9 * np.diag(power), cross + penalty @ first)


def nonnegative(gram: Array, cross: Array) -> Array:
    """Non-negative coefficients of least squares, from products of the predictions with each other and with the truth."""
    factor = np.linalg.cholesky(gram)
    return np.asarray(nnls(factor.T, np.linalg.solve(factor, cross))[0])
