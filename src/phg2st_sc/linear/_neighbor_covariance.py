"""Covariance of the genes between neighbouring spots of one slide, summed over strips of the slide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from .._arrays import TrainingSlide
from ._dispersion import NEIGHBOR_RADIUS
from ._rates import RateScale

Array = NDArray[np.float64]

_MAX_WEIGHT = 3.0
_CLIP = 5.0
"""In noise standard deviations: covariances are fourth moments of counts, and feel outliers more than means do."""
_MAX_GENES = 4096
"""Up to which the covariance itself is kept, and beyond which the values are that it is the product of."""
_BLOCK_VALUES = 1 << 22
_LEAST_SPOTS = 256


@dataclass(frozen=True, eq=False)
class NeighborCovariance:
    """Sum over pairs of neighbours of the products of their values, which are about zero over the slide.

    Attributes
    ----------
    raw
        (G, G) the sum with values as they are, or the strips that it is made of.
    row, total, mean
        (G,) sum of the values by their spots' weights in pairs, the sum of those weights, and (G,) the mean that is to go out.
    n_spots
        Spots with a count: the weights of the pairs add up to as many.
    depth
        Counts of the median spot; values are in units of its noise.
    """

    raw: Array | list[Strip]
    row: Array
    total: float
    mean: Array
    n_spots: int
    depth: float

    def __matmul__(self, vectors: Array) -> Array:
        raw = self.raw
        product = (
            raw @ vectors if isinstance(raw, np.ndarray) else sum((strip @ vectors for strip in raw), 0.0 * vectors)
        )
        # about the mean m: (V - 1m)' A (V - 1m) = V'AV - r m' - m r' + t m m', r = V'A1 and t = 1'A1
        outer = np.multiply.outer
        by_mean, by_row = self.mean @ vectors, self.row @ vectors
        return np.asarray(
            product - outer(self.row, by_mean) - outer(self.mean, by_row) + self.total * outer(self.mean, by_mean)
        )


@dataclass(frozen=True, eq=False)
class Strip:
    """Some spots of a slide, and their neighbours.

    Attributes
    ----------
    values
        (m, G) of the spots and their neighbours.
    pairs
        (r, m) weights of the pairs.
    own
        (r, G) values of the spots.
    weight
        (r,) their weights in the mean.
    """

    values: Array
    pairs: csr_matrix
    own: Array
    weight: Array

    def __matmul__(self, vectors: Array) -> Array:
        return np.asarray(self.own.T @ (self.pairs @ (self.values @ vectors)))

    @property
    def squared(self) -> Array:
        """(G, G) sum of the products."""
        return np.asarray(self.own.T @ (self.pairs @ self.values))


def neighbor_covariance(slide: TrainingSlide, spread: Array | None) -> NeighborCovariance:
    """Covariance between neighbours of whitened rates, in units of the noise of the slide's median spot.

    Parameters
    ----------
    slide
        Measured at every spot.
    spread
        (G,) noise of the genes in units of the Poisson one.
    """
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    used = np.flatnonzero(totals > 0)
    totals = totals[used]
    if used.size == 0:
        nothing = np.zeros(slide.counts.shape[1])
        return NeighborCovariance([], nothing, 0.0, nothing, 0, 1.0)
    weight = np.minimum(totals / totals.mean(), _MAX_WEIGHT)
    pairs = _weighted_pairs(slide.arrays.positions[used], weight)
    n_genes = slide.counts.shape[1]
    keeps_strips = n_genes > _MAX_GENES
    strips: list[Strip] = []
    raw, row, mean = np.zeros((0 if keeps_strips else n_genes,) * 2), np.zeros(n_genes), np.zeros(n_genes)
    for strip in _strips(slide, used, totals, weight, pairs, spread):
        row += strip.pairs.sum(axis=1).A1 @ strip.own
        mean += strip.weight @ strip.own
        if keeps_strips:
            strips.append(strip)
        else:
            raw += strip.squared
    depth = float(np.median(totals))
    return NeighborCovariance(
        strips if keeps_strips else raw, row, float(pairs.sum()), mean / weight.sum(), used.size, depth
    )


def _strips(
    slide: TrainingSlide, used: NDArray[np.int64], totals: Array, weight: Array, pairs: csr_matrix, spread: Array | None
) -> Iterator[Strip]:
    """From one side of the slide to the other, so that the neighbours of a strip are few."""
    scale = RateScale.from_counts(slide.counts, totals, spread=spread)  # spots without a count add nothing
    root = np.sqrt(np.median(totals))

    def values(spots: NDArray[np.int64]) -> Array:
        out = scale.whiten(slide.counts[used[spots]], totals[spots])
        most = _CLIP / np.sqrt(totals[spots])[:, None]
        out = np.clip(out, -most, most, out=out)
        out *= root
        return out

    order = np.lexsort(slide.arrays.positions[used].T)
    step = max(_LEAST_SPOTS, _BLOCK_VALUES // slide.counts.shape[1])
    for start in range(0, order.size, step):
        spots = order[start : start + step]
        to_all = pairs[spots]
        near = np.union1d(spots, to_all.indices)
        around = values(near)
        yield Strip(around, to_all[:, near], around[np.searchsorted(near, spots)], weight[spots])


def _weighted_pairs(positions: Array, weight: Array) -> csr_matrix:
    """Symmetric weights of neighbouring pairs, scaled so that a slide counts by its number of spots."""
    pairs = cKDTree(positions).query_pairs(NEIGHBOR_RADIUS, output_type="ndarray")
    n = positions.shape[0]
    rows = np.concatenate([pairs[:, 0], pairs[:, 1]])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0]])
    adjacency = csr_matrix((weight[rows] * weight[columns], (rows, columns)), shape=(n, n))
    total = float(adjacency.sum())
    return adjacency * (n / total) if total > 0 else adjacency
