"""How much noisier than Poisson each gene is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.spatial import cKDTree

from .._arrays import TrainingSlide
from ._rates import RateScale

Array = NDArray[np.float64]

NEIGHBOR_RADIUS = 1.6
"""In lattice pitches: the 8 nearest of a square lattice, the 6 of a hexagonal one."""
_LEAST_VARIANCE = 0.3
_BLOCK_VALUES = 1 << 22
"""Of some genes at all spots."""


def gene_spread(slides: Sequence[TrainingSlide]) -> Array:
    """(G,) standard deviation of a gene's noise in units of the Poisson one, pooled over slides.

    A spot differs from the mean of its neighbours mostly by noise: of the squared Pearson residual of that difference, with
    k neighbours, k / (k + 1) is the spot's own noise. Genes of bursts, blood or handling come out above 1, and then
    weigh less when a spot's place in the gene components is judged.
    """
    parts = [part for part in (_noise_variance(slide) for slide in slides) if part is not None]
    if not parts:
        return np.ones(len(slides[0].genes))
    return np.sqrt(np.maximum(np.mean(parts, axis=0), _LEAST_VARIANCE))


def _noise_variance(slide: TrainingSlide) -> Array | None:
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    used = totals > 0
    totals = totals[used]
    mean_of = neighbor_mean(slide.arrays.positions[used])
    degree = np.diff(mean_of.indptr)
    inner = degree > 0
    if inner.sum() < 2:
        return None
    scale = RateScale.from_counts(slide.counts, totals)  # spots without a count add nothing
    share, root = (degree / (degree + 1.0))[inner], np.sqrt(totals)[:, None]
    n_genes = slide.counts.shape[1]
    step = max(1, _BLOCK_VALUES // totals.size)
    out = np.empty(n_genes)
    for few in (slice(start, start + step) for start in range(0, n_genes, step)):
        residual = scale.of_genes(few).whiten(slide.counts[:, few][used], totals) * root
        difference = (residual - mean_of @ residual)[inner]
        out[few] = (share[:, None] * difference**2).mean(axis=0)
    return out


def neighbor_mean(positions: Array) -> csr_matrix:
    """(n, n) operator: mean over neighbouring spots, itself left out."""
    pairs = cKDTree(positions).query_pairs(NEIGHBOR_RADIUS, output_type="ndarray")
    rows = np.concatenate([pairs[:, 0], pairs[:, 1]])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0]])
    degree = np.bincount(rows, minlength=len(positions))
    return csr_matrix((1.0 / degree[rows], (rows, columns)), shape=(len(positions), len(positions)))
