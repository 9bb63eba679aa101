"""Directions in gene space along which expression varies from place to place.

Two neighbouring spots share tissue but no sequencing noise, so the covariance *between neighbours* of whitened rates is an
estimate of the covariance of the signal alone. Its leading eigenvectors, pooled over training slides, are the gene
components; a handful of noisy prompts is far better at placing a spot in these few dimensions than in every gene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, eigsh

from .._arrays import TrainingSlide
from ._neighbor_covariance import neighbor_covariance

Array = NDArray[np.float64]

_ROWS = 1024


@dataclass(frozen=True)
class GeneBasis:
    """Gene components, and how much signal they carry.

    Attributes
    ----------
    vectors
        (G, k) orthonormal components.
    variance
        (k,) signal variance of each in whitened rates (noise variance 1 / total); ``None`` where unknown.
    """

    vectors: Annotated[Array, "G K"]
    variance: Annotated[Array, "K"] | None = None

    def signal(self, depth: float, *, rounded: bool = False) -> Array | float:
        """Expected signal-to-noise ratio of each component at a spot of ``depth`` counts.

        ``rounded`` to powers of two: of very many prompts a system is solved for each different value.
        """
        if self.variance is None:
            return 1.0
        signal = np.maximum(self.variance * depth, 1e-6)
        return np.asarray(2.0 ** np.round(np.log2(signal))) if rounded else signal


def learn_gene_basis(
    slides: Sequence[TrainingSlide], n_components: int, *, spread: Array | None = None
) -> GeneBasis | None:
    """Gene components from the neighbour covariance of slides measured at every spot; ``None`` if there are none.

    Parameters
    ----------
    slides
        Training slides.
    n_components
        At most so many.
    spread
        (G,) noise of the genes in units of the Poisson one, as whitened rates are to be divided by.
    """
    n_genes = slides[0].counts.shape[1]
    k = min(n_components, n_genes - 1)
    if k < 1:
        return None
    parts = [neighbor_covariance(slide, spread) for slide in slides]
    if not any(part.total > 0 for part in parts):
        return None
    total = sum(part.n_spots for part in parts)

    def multiply(vectors: Array) -> Array:
        return np.asarray(sum(part @ vectors for part in parts) / total)

    operator = LinearOperator((n_genes, n_genes), matvec=multiply, matmat=multiply, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(n_genes)
    eigenvalues, vectors = eigsh(operator, k=k, which="LA", v0=start)
    order = np.argsort(-eigenvalues)
    vectors = _fix_signs(vectors[:, order[eigenvalues[order] > 0]])
    if vectors.shape[1] == 0:
        return None
    variance = sum(np.einsum("gk,gk->k", vectors, part @ vectors) / part.depth for part in parts)
    return GeneBasis(vectors, np.asarray(variance / total))


def beyond(values: Array, columns: Array, vectors: Array) -> Array:
    """(n, G) what components miss of values, whose columns (n, k) they are."""
    out = values.copy()
    for start in range(0, len(out), _ROWS):
        rows = slice(start, start + _ROWS)
        out[rows] -= columns[rows] @ vectors.T
    return out


def prompt_gene_basis(values: Array, noise: Array, n_components: int) -> GeneBasis | None:
    """Gene components from the prompts themselves, by weighted principal components; ``None`` where there are none."""
    if min(n_components, *values.shape) < 1:
        return None
    weighted = values / np.sqrt(noise)[:, None]
    _, _, right = np.linalg.svd(weighted, full_matrices=False)
    return GeneBasis(_fix_signs(right[:n_components].T))


def _fix_signs(vectors: Array) -> Array:
    """Eigenvectors have no sign; make the largest entry positive so that the same data give the same bits."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])])
