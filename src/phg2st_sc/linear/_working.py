"""From prompts to whitened rates over the panel, and from whitened predictions back to expression."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._arrays import Latent, Prediction, Prompts, log_expression
from .._evidence import LeftOut, Posterior
from .._row_blocks import RowBlocks, block_rows
from ._field import Field
from ._rates import RateScale
from ._whitened import WhitenedCounts

Array = NDArray[np.float64]

WIDE = 2048
"""Genes from which on many prompts are kriged so many at a time where few genes are asked for."""
_FEW = 256
_MOST_HELD = 1 << 26
"""Whitened rates, 512 MB, from which on they are worked out when they are needed."""
_LEAST_EXPECTED = 1 / 32
"""Counts of the median prompt below which genes are all treated alike."""


@dataclass(frozen=True)
class Working:
    """Prompts on the working scale.

    Totals are taken over the panel, so that what is predicted is the composition of the panel: how large a share of all
    counts the panel has at a spot is a matter of quality and depth. ``fraction`` (pooled over the prompts) brings the
    predictions back to counts per count of *all* genes.

    Attributes
    ----------
    index
        (p,) prompts with at least one count in the panel.
    scale
        Levels of the genes.
    values
        (p, G) whitened rates, zero at the level.
    noise
        (p,) noise variances, 1 at the median prompt.
    depth
        Panel counts of the median prompt; 0 without prompts.
    fraction
        Share of the panel in all counts.
    target_sum
        Scale of the predicted expression.
    """

    index: NDArray[np.int64]
    scale: RateScale
    values: Array
    noise: Array
    depth: float
    fraction: float
    target_sum: float

    @classmethod
    def of(
        cls, prompts: Prompts, *, prior: Array | None = None, prior_counts: float = 0.0, spread: Array | None = None
    ) -> Working:
        """Whiten prompts; ``prior`` are the levels of other slides, worth ``prior_counts`` counts."""
        panel_totals = prompts.counts.sum(axis=1, dtype=np.float64)
        used = panel_totals > 0
        counts = prompts.counts if used.all() else prompts.counts[used]
        totals = panel_totals[used]
        scale = RateScale.from_counts(counts, totals, prior=prior, prior_counts=prior_counts, spread=spread)
        everything = float(prompts.totals[used].sum())
        return cls(
            index=prompts.index[used],
            scale=scale,
            values=scale.whiten(counts, totals) if counts.size < _MOST_HELD else WhitenedCounts(scale, counts, totals),  # type: ignore[arg-type]
            noise=np.median(totals) / totals if totals.size else totals,
            depth=float(np.median(totals)) if totals.size else 0.0,
            fraction=float(totals.sum()) / everything if everything > 0 else 1.0,
            target_sum=prompts.target_sum,
        )

    def finish(
        self,
        whitened: Array | Field,
        *,
        details: Mapping[str, Any] | None = None,
        genes: NDArray[np.int64] | None = None,
        left_out: Callable[[], LeftOut | None] | None = None,
        posterior: Posterior | None = None,
    ) -> Prediction:
        """Expression of whitened predictions (n, G), made when it is asked for.

        The rates of a spot add up to the share of the panel, so that every gene has a say in every other, also where only
        some, ``genes``, are to be returned.
        """
        field = whitened if isinstance(whitened, Field) else Field.of(whitened)
        known = Prediction(np.empty((0, field.width), np.float32), None, details, None, left_out, posterior)
        if genes is not None and field.narrow is not None and genes.size <= _FEW:
            return known.take(genes).but(mean=self._few(field, genes))

        amount, step = self.fraction * self.scale.level.sum(), block_rows(field.width)

        def expression(rows: slice) -> NDArray[np.float32]:
            rate = self.scale.rates(field.at(rows))
            rate *= amount / rate.sum(axis=1, keepdims=True)
            return log_expression(rate if genes is None else rate[:, genes], self.target_sum)

        def before(rows: slice) -> tuple[Array, Array]:
            values = field.at(rows)
            return values, amount / self.scale.rates(values).sum(axis=1)

        made = known.but(latent=Latent(field.n, before, self.scale.level, self.scale.spread, step))
        if genes is not None:
            made = made.take(genes)
        return made.but(mean=RowBlocks(field.n, made.shape[1], expression, step))

    def _few(self, field: Field, genes: NDArray[np.int64]) -> NDArray[np.float32]:
        """Expression of few genes of very many, which are gone through some at a time: what is left of them is their sum."""
        total, found = np.zeros((field.n, 1)), np.empty((field.n, genes.size))
        for start in range(0, field.width, WIDE):
            columns = slice(start, min(start + WIDE, field.width))
            some = None  # before there is the next one
            some, scale = field.narrow(columns), self.scale.of_genes(columns)  # type: ignore[misc]
            asked = np.flatnonzero((genes >= columns.start) & (genes < columns.stop))
            for rows in some.blocks():
                rate = scale.rates(some.at(rows))
                total[rows] += rate.sum(axis=1, keepdims=True)
                found[rows, asked] = rate[:, genes[asked] - start]
        found *= self.fraction * self.scale.level.sum() / total
        return log_expression(found, self.target_sum)

    def whitened_of(self, prediction: Prediction) -> Array:
        """Inverse of :meth:`finish` for a prediction of any method (n, G), composition only."""
        rate = np.expm1(np.asarray(prediction.mean, dtype=np.float64))
        total = np.maximum(rate.sum(axis=1, keepdims=True), 1e-12)
        level = self.scale.level
        whitened = (rate * (level.sum() / total) - level) / np.sqrt(level)
        return whitened if self.scale.spread is None else whitened / self.scale.spread

    def leave_one_out_level(self) -> Any:
        """(p, G) what each prompt would be predicted as by the level of the others."""
        weight = 1.0 / self.noise
        return OthersLevel(self.values, weight, weight @ self.values)


@dataclass(frozen=True, eq=False)
class OthersLevel:
    """(p, C) weighted means of all rows but one; worked out for the rows that are asked for, as there may be many."""

    values: Array
    weight: Array
    total: Array

    def __getitem__(self, rows: Any) -> Array:
        """Those of some rows."""
        weight = self.weight[rows]
        others = np.maximum(self.weight.sum() - weight, 1e-12)[:, None]
        return np.asarray((self.total - weight[:, None] * self.values[rows]) / others)

    def __matmul__(self, vectors: Array) -> OthersLevel:
        """Those of sums of columns."""
        return OthersLevel(np.asarray(self.values @ vectors), self.weight, np.asarray(self.total @ vectors))


def gene_signal(working: Working) -> Array:
    """(G,) expected counts of each gene at the median prompt, in powers of two.

    Genes vary by like factors from place to place, so the signal of whitened rates grows with the counts expected of a
    gene. Powers of two, because a system is solved for each different value where there are very many prompts.
    """
    expected = np.maximum(working.scale.level * working.depth, _LEAST_EXPECTED)
    return np.asarray(2.0 ** np.round(np.log2(expected)))
