"""What a prediction knows of its own errors: prompts that it was made without, and what the prompts leave open."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Prompts that were left out in turn, and how they were predicted.

    Attributes
    ----------
    spots
        (p,) their rows of the slide.
    folds
        (p,) with which of them each was left out.
    counts
        (p, G) raw counts.
    totals
        (p,) counts of the whole panel.
    rate
        (p, G) predicted shares of the panel's counts: every row adds up to 1.
    among
        Rows of the slide that all prompts are which were shown, or left out, in any fold; ``None`` where they are ``spots``.
    """

    spots: Index
    folds: Index
    counts: NDArray[np.float32]
    totals: Array
    rate: NDArray[np.float32]
    among: Index | None = None

    @property
    def level(self) -> Array:
        """(G,) shares of the genes, pooled over the prompts."""
        counts = self.counts.sum(axis=0, dtype=np.float64)
        return np.asarray(np.maximum(counts, 0.5) / max(float(self.totals.sum()), 1.0))

    def where(self, kept: NDArray[np.bool_]) -> LeftOut:
        """The same of some of the prompts."""
        by_prompt = {name: getattr(self, name)[kept] for name in ("spots", "folds", "counts", "totals", "rate")}
        return replace(self, **by_prompt)

    def take(self, genes: Index) -> LeftOut:
        """The same of some genes; their shares stay those of the whole panel."""
        return replace(self, counts=self.counts[:, genes], rate=self.rate[:, genes])


@dataclass(frozen=True, eq=False)
class Posterior:
    """Variance of whitened rates given the prompts, as the covariance says that predicted them.

    Whitened rates are ``(rate - level) / sqrt(level) / spread``. At a spot the variance of gene g is the sum over l of
    ``open[l] * loading[l, g]``.

    Attributes
    ----------
    open
        Of spots (rows,): (rows, L) what the prompts leave of the variance of a column of each ratio of signal to noise, in units
        of its variance about a known level; with an unknown level up to 2.
    root
        (L, G) signed roots of the variance of a gene that belongs to each ratio.
    shared
        (L,) whether the genes share one field of that ratio, else each has its own.
    given
        The same under some of the prompts, by position among them.
    fields
        Draws (L,) numbers of fields of each ratio: their values (rows, number) at some spots, of unit variance before any prompt.
    prompts
        (p,) rows of the slide that the prompts are.
    spread
        (G,) noise of the genes in units of the Poisson one; ``None`` where all are taken as Poisson.
    """

    open: Callable[[Index], Array]
    root: Array
    shared: NDArray[np.bool_]
    given: Callable[[Index], Posterior]
    fields: Callable[[Index, np.random.Generator], Callable[[Index], list[Array]]]
    prompts: Index
    spread: Array | None = None

    @property
    def loading(self) -> Array:
        """(L, G) variance of a gene that belongs to each ratio."""
        return np.asarray(self.root**2)

    @property
    def noise(self) -> Array | float:
        """(G,) variance of the noise of the genes in units of the Poisson one."""
        return 1.0 if self.spread is None else np.asarray(self.spread**2)

    def variance(self, rows: Index) -> Array:
        """(rows, G) variance of the whitened rates of some spots."""
        return self.open(rows) @ self.loading

    def at_left_out(self, left_out: LeftOut) -> Array:
        """(p, L) what is open at prompts that were left out, given those that were shown then."""
        out = np.empty((left_out.spots.size, self.shared.size))
        among = left_out.spots if left_out.among is None else left_out.among
        for fold in np.unique(left_out.folds):
            here = left_out.folds == fold
            shown = np.flatnonzero(np.isin(self.prompts, np.setdiff1d(among, left_out.spots[here])))
            out[here] = self.given(shown).open(left_out.spots[here])
        return out

    def take(self, genes: Index) -> Posterior:
        """The same of some genes."""
        spread = None if self.spread is None else self.spread[genes]
        return replace(self, root=self.root[:, genes], given=lambda kept: self.given(kept).take(genes), spread=spread)


@dataclass(frozen=True, eq=False)
class Assessment:
    """How far a prediction can be trusted, beside its standard deviation.

    Attributes
    ----------
    genes
        (G,) values by name of a column of ``var``.
    spots
        (n,) values by name of a column of ``obs``.
    facts
        Numbers, sentences and small arrays of the slide.
    """

    genes: Mapping[str, NDArray[Any]]
    spots: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]

    def of_genes(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Assessment:
        """The same with other values of the genes."""
        return replace(self, genes={name: change(values) for name, values in self.genes.items()})
