"""The scale on which the linear methods work: whitened rates.

With counts ``c ~ Poisson(N * rate)`` and a slide-wide level ``r`` of a gene, ``u = (c / N - r) / sqrt(r)`` has noise
variance ``1 / N`` at every gene, whatever its level: one noise model serves all genes, and a prompt of 300 counts weighs
less than one of 10,000 without a parameter. Predictions come back as positive rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._arrays import positive_rates

_CLIP = 10.0
"""Pearson residuals beyond this many standard deviations are outliers of single spots, as in analytic normalisation."""
_THETA = 100.0
"""Expected counts from which on these standard deviations are those of a negative binomial with as large a theta, as in the
scores: differences between places then outweigh counting noise, and are no outliers."""
_MOST_DOUBLE = 1 << 26
"""Whitened rates, 512 MB, from which on single precision has to do."""
N_LEVEL_GROUPS = 3
_ROWS = 256
"""Spots that are whitened at a time: what is in between takes several times the memory of what comes out."""


@dataclass(frozen=True)
class RateScale:
    """Levels ``r`` of the genes of one slide, and the map between counts and whitened rates.

    Attributes
    ----------
    level
        (G,) float64 counts of a gene per count of the spot, positive.
    spread
        (G,) float64 noise of a gene in units of the Poisson one; ``None`` where all are taken as Poisson.
    depth
        Counts of the median spot.
    """

    level: NDArray[np.float64]
    spread: NDArray[np.float64] | None = None
    depth: float = 0.0

    @classmethod
    def from_counts(
        cls,
        counts: NDArray[np.float32],
        totals: NDArray[np.float64],
        *,
        prior: NDArray[np.float64] | None = None,
        prior_counts: float = 0.0,
        spread: NDArray[np.float64] | None = None,
    ) -> RateScale:
        """Levels pooled over spots."""
        total = float(totals.sum())
        gene_counts = counts.sum(axis=0, dtype=np.float64)
        if prior is not None:
            gene_counts = gene_counts + prior_counts * prior
            total += prior_counts
        # half a count: an unseen gene is rare, not impossible
        depth = float(np.median(totals)) if totals.size else 0.0
        return cls(np.maximum(gene_counts, 0.5) / max(total, 1.0), spread, depth)

    def of_genes(self, few: slice) -> RateScale:
        """The same of some of the genes."""
        return RateScale(self.level[few], None if self.spread is None else self.spread[few], self.depth)

    def whiten(self, counts: NDArray[np.float32], totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Whitened rates (p, G) of counts (p, G): zero at the level, noise variance 1 / total.

        In single precision where they are very many.
        """
        out = np.empty(counts.shape, dtype=np.float64 if counts.size < _MOST_DOUBLE else np.float32)
        for start in range(0, len(out), _ROWS):
            rows = slice(start, start + _ROWS)
            self._whiten(counts[rows], totals[rows], out[rows])
        return out

    def components(
        self,
        counts: NDArray[np.float32],
        totals: NDArray[np.float64],
        vectors: NDArray[np.float64],
        rows: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """(r, k) whitened rates of some rows of counts (n, G) with totals (n,), in components (G, k)."""
        out = np.empty((rows.size, vectors.shape[1]))
        for start in range(0, rows.size, _ROWS):
            few = rows[start : start + _ROWS]
            out[start : start + _ROWS] = self.whiten(counts[few], totals[few]) @ vectors
        return out

    def _whiten(self, counts: NDArray[np.float32], totals: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        expected = totals[:, None] * self.level
        # a spot that is far deeper than the others is not believed more than they are
        usual = np.minimum(totals, self.depth)[:, None] * self.level
        most = _CLIP * np.sqrt(np.maximum(1.0, usual / _THETA))
        residual = np.clip((counts - expected) / np.sqrt(expected), -most, most)
        np.divide(residual, np.sqrt(totals)[:, None], out=out)
        if self.spread is not None:
            out /= self.spread

    def rates(self, whitened: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positive rates of whitened rates; see :func:`positive_rates`."""
        return positive_rates(whitened, self.level, self.spread)


def level_groups(level: NDArray[np.float64]) -> NDArray[np.int64]:
    """(G,) group of every gene by its level, the most counted first: a third of the genes in each."""
    ranks = np.argsort(np.argsort(-level, kind="stable"), kind="stable")
    return np.asarray(ranks * N_LEVEL_GROUPS // max(ranks.size, 1), dtype=np.int64)
