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

from ..._arrays import Prompts
from ..._evidence import LeftOut
from ..._progress import part
from ...linear import N_LEVEL_GROUPS, Field, RateScale, Record, Working, join, level_groups, record

Array = NDArray[np.float64]
Predict = Callable[[Working], Array]
"""From prompts on the working scale to whitened predictions (n, G)."""

_PRIOR_PROMPTS = 25.0
"""Prompts that trusting the first prediction alone is worth."""
_WORTH = 500.0
"""Of the weights that a mixture is trusted with before, in variances of the counting noise of one gene at one spot."""
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
    folds
        Predictions of the left-out prompts.
    weigh
        (groups, predictions) weights that some of the folds ask for.
    """

    groups: NDArray[np.int64]
    weights: Array
    records: tuple[Record, ...] = ()
    folds: Sequence[_Fold] = ()
    weigh: Callable[[Sequence[_Fold]], Array] | None = None

    @property
    def first_alone(self) -> bool:
        """Whether the first prediction is taken as it is."""
        return bool((self.weights == np.eye(self.weights.shape[1])[0]).all())

    def combine(self, predictions: Sequence[Field | None]) -> Field:
        """Weighted sum of predictions (n, G), the first of which is there; ``None`` for one without a weight."""
        by_gene = self.weights[self.groups]
        there = [(one, by_gene[:, number]) for number, one in enumerate(predictions) if one is not None]
        return reduce(Field.plus, [one.times(weight) for one, weight in there])

    def left_out(self, spots: NDArray[np.int64], *, first_alone: bool = False) -> LeftOut | None:
        """The left-out prompts as they are predicted, each fold under the weights that the others ask for.

        Parameters
        ----------
        spots
            Of the prompts that were left out.
        first_alone
            Whether the first prediction is taken as it is, whatever the weights.
        """
        if self.weigh is None or len(self.folds) < 2:
            return None
        rates = []
        for number, fold in enumerate(self.folds):
            others = [other for position, other in enumerate(self.folds) if position != number]
            weights = np.eye(self.weights.shape[1])[:1] if first_alone else self.weigh(others)
            rates.append(fold.shares(weights[np.zeros_like(self.groups) if len(weights) == 1 else self.groups]))
        rows = np.concatenate([fold.rows for fold in self.folds])
        numbers = np.repeat(np.arange(len(self.folds)), [fold.rows.size for fold in self.folds])
        counts, totals = (np.concatenate([getattr(fold, what) for fold in self.folds]) for what in ("counts", "totals"))
        return LeftOut(spots[rows], numbers, counts, totals, np.vstack(rates))


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
    groups = level_groups(working_of(prompts).scale.level)
    parts = _folds(predict, prompts, folds, working_of)
    prior = _PRIOR_PROMPTS / prompts.n_prompts
    weigh = _by_group(groups, lambda some: _group_weights(some, prior))
    return Stack(groups, weigh(parts), _records(parts), parts, weigh)


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
    groups = level_groups(working_of(prompts).scale.level)
    parts = _folds(predict, prompts, folds, working_of)
    weigh = _by_group(groups, lambda some: _group_mixture(some, before))
    mixed = [replace(part, made=[_mix(part.made, before), *part.made]) for part in parts]
    return Stack(groups, weigh(parts), _records(mixed), parts, weigh)


def _by_group(
    groups: NDArray[np.int64], weights: Callable[[Sequence[_Fold]], Array]
) -> Callable[[Sequence[_Fold]], Array]:
    def weigh(folds: Sequence[_Fold]) -> Array:
        return np.stack([weights([fold.of(groups == group) for fold in folds]) for group in range(N_LEVEL_GROUPS)])

    return weigh


def _records(folds: Sequence[_Fold]) -> tuple[Record, ...]:
    return tuple(join(one) for one in zip(*(fold.records() for fold in folds), strict=True))


def _mix(made: Sequence[Array], weights: Array) -> Array:
    return np.asarray(sum(weight * one for weight, one in zip(weights, made, strict=True)))


def _group_mixture(parts: Sequence[_Fold], before: Array) -> Array:
    products = [part.products() for part in parts]
    gram = np.sum([one for one, _ in products], axis=0) + _WORTH * np.eye(before.size)
    cross = np.sum([one for _, one in products], axis=0) + _WORTH * before
    weights = nonnegative(gram, cross)
    return weights if weights.any() else before  # nothing is no prediction


def _folds(
    predict: Sequence[Predict], prompts: Prompts, folds: NDArray[np.int64], working_of: Callable[[Prompts], Working]
) -> list[_Fold]:
    every = part(np.unique(folds), desc="leave prompts out", unit="fold")
    return [_fold(predict, prompts, folds == fold, working_of) for fold in every]


@dataclass(frozen=True, eq=False)
class _Fold:
    """Predictions and truth at the left-out prompts of one fold, which are ``rows`` among all, on the scale of the others."""

    made: list[Array]
    truth: Array
    counts: NDArray[np.float32]
    totals: Array
    rows: NDArray[np.int64]
    scale: RateScale

    def of(self, genes: NDArray[np.bool_]) -> _Fold:
        return replace(self, made=[one[:, genes] for one in self.made], truth=self.truth[:, genes])

    def shares(self, weights: Array) -> NDArray[np.float32]:
        """(rows, G) shares of the panel's counts that predictions under (G, predictions) weights say."""
        mixed = sum(weights[:, number] * one for number, one in enumerate(self.made))
        rate = self.scale.rates(np.asarray(mixed))
        return np.asarray(rate / rate.sum(axis=1, keepdims=True), dtype=np.float32)

    def records(self) -> list[Record]:
        noise = np.median(self.totals) / self.totals if self.totals.size else self.totals
        return [record(self.truth, one, noise) for one in self.made]

    def products(self) -> tuple[Array, Array]:
        weight = self.totals[:, None]
        gram = np.array([[(weight * a * b).sum() for b in self.made] for a in self.made])
        return gram, np.array([(weight * a * self.truth).sum() for a in self.made])


def _group_weights(parts: Sequence[_Fold], prior: float) -> Array:
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


def _fold(
    predict: Sequence[Predict],
    prompts: Prompts,
    held_out: NDArray[np.bool_],
    working_of: Callable[[Prompts], Working],
) -> _Fold:
    kept = prompts.subset(np.flatnonzero(~held_out))
    working = working_of(kept)
    counts = prompts.counts[held_out]
    totals = counts.sum(axis=1, dtype=np.float64)
    seen = totals > 0
    truth = working.scale.whiten(counts[seen], totals[seen])
    rows = np.flatnonzero(held_out)[seen]
    spots = prompts.index[rows]
    made = [one(working)[spots] for one in predict]
    return _Fold(made, truth, counts[seen], totals[seen], rows, working.scale)


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
