"""Whether predicted maps go together as measured ones do: gene-gene correlations over the spots."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._docs import documented
from ._correlation import is_constant, paired
from ._targets import gene_blocks

_ROWS = 512
_FLAT = 1e-5  # spread of correlations that single precision leaves between copies of one map


class GeneCorrelation(NamedTuple):
    """How far two gene-gene correlation matrices are apart, over all pairs of different genes.

    Attributes
    ----------
    error
        Mean absolute difference.
    rmse
        Root mean squared difference: the Frobenius norm over the pairs, divided by the root of their number.
    agreement
        Correlation, over pairs, of the two; 0 where all predicted correlations are equal, NaN where the true ones are.
    n_genes
        Genes whose truth is not constant.

    Examples
    --------
    >>> from phg2st_sc.metrics import gene_correlation
    >>> gene_correlation([[1.0, 1, 2], [2, 2, 1], [3, 4, 0]], [1.0, 2.0, 3.0]).n_genes
    3
    """

    error: float
    rmse: float
    agreement: float
    n_genes: int


@documented
def gene_correlation(
    truth: ArrayLike, prediction: ArrayLike, *, attenuation: ArrayLike | None = None
) -> GeneCorrelation:
    r"""Compare the gene-gene correlations of predicted maps with those of measured ones.

    Parameters
    ----------
    {truth}
        Measured at held-out spots, e.g. the depth-free target.
    {prediction}
    attenuation
        (G,) factors by which noise lowers a gene's correlation with anything, e.g. its noise ceiling. The predicted
        correlation of genes g and h is multiplied by both factors before it is compared: what the measured one would
        be expected to show if the prediction were perfect (Spearman's attenuation). Without it, noise-free
        predictions are set against correlations that noise has lowered, and pay for being noise-free.

    Returns
    -------
    :class:`GeneCorrelation`: ``error``, ``rmse``, ``agreement``, ``n_genes``. A gene that is predicted as constant
    correlates 0 with every other; one whose truth is constant is left out. NaN with fewer than 3 genes.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Notes
    -----
    Smoothing pushes predicted correlations towards ±1 and so raises ``error``; saying nothing (constant predictions)
    has the mean absolute measured correlation as its error, which shallow counts make small. Neither ``error`` nor
    ``rmse`` means anything alone: :func:`~phg2st_sc.metrics.score_section` gives the error of saying nothing and that
    between two halves of the counts beside it. On the depth-free target one map for all genes, such as depth, agrees 0.

    References
    ----------
    Spearman, American Journal of Psychology 15:72 (1904), for the attenuation.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import gene_correlation
    >>> a, b = np.sin(np.arange(60)), np.cos(np.arange(60) / 9)
    >>> truth = np.stack([a, b, a + b], axis=1)
    >>> round(gene_correlation(truth, 3 * truth + 1).error, 6)
    0.0
    """
    x, y, kept, shown = _units(truth, prediction)
    n_genes = int(kept.sum())
    if n_genes < 3:
        return GeneCorrelation(float("nan"), float("nan"), float("nan"), n_genes)
    factors = np.ones(kept.size) if attenuation is None else np.asarray(attenuation, dtype=np.float64)
    if factors.shape != kept.shape:
        msg = f"`attenuation` must hold one factor for each of the {kept.size} genes; its shape is {factors.shape}."
        raise ValueError(msg)
    y *= (shown * np.nan_to_num(factors)).astype(np.float32)
    return _compare(x, y) if kept.all() else _compare(x[:, kept], y[:, kept])


def _units(
    truth: ArrayLike, prediction: ArrayLike
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Both sides with columns of length 1, and which columns of each vary; a block of genes in double precision at a time."""
    a, b = (np.asarray(side)[:, None] if np.ndim(side) == 1 else np.asarray(side) for side in (truth, prediction))
    if a.ndim != 2 or b.ndim != 2 or b.shape not in (a.shape, (len(a), 1)):
        paired(truth, prediction)  # says what is wrong
    x, y = (np.empty(a.shape, np.float32, order="F") for _ in range(2))
    kept, shown = np.empty(a.shape[1], dtype=bool), np.empty(a.shape[1], dtype=bool)
    for genes in gene_blocks(*a.shape):
        of_a, of_b = a[:, genes], b if b.shape[1] == 1 else b[:, genes]
        if not (np.isfinite(of_a).all() and np.isfinite(of_b).all()):
            paired(truth, prediction)
        pair = paired(of_a, of_b)
        kept[genes], shown[genes] = ~is_constant(pair[0], a), ~is_constant(pair[1], b)
        x[:, genes], y[:, genes] = _unit(pair[0]), _unit(pair[1])
    return x, y, kept, shown


def _unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Columns of mean 0 and length 1, whose products are correlations."""
    centered = values - values.mean(axis=0)
    length = np.sqrt(np.einsum("ij,ij->j", centered, centered))
    return np.divide(centered, length, out=np.zeros_like(centered), where=length > 0).astype(np.float32)


def _compare(x: NDArray[np.float32], y: NDArray[np.float32]) -> GeneCorrelation:
    """Sums over pairs, in blocks of rows: the matrices of a large panel would not fit into memory."""
    n_genes = x.shape[1]
    sums, lowest, highest = np.zeros(7), np.full(2, np.inf), np.full(2, -np.inf)
    for start in range(0, n_genes, _ROWS):
        rows = slice(start, min(start + _ROWS, n_genes))
        above = np.arange(start, n_genes)[None, :] > np.arange(rows.start, rows.stop)[:, None]
        a, b = ((side[:, rows].T @ side[:, start:])[above].astype(np.float64) for side in (x, y))
        if a.size == 0:
            continue
        difference = np.abs(a - b)
        sums += (difference.sum(), difference @ difference, a.sum(), b.sum(), a @ a, b @ b, a @ b)
        lowest, highest = np.minimum(lowest, (a.min(), b.min())), np.maximum(highest, (a.max(), b.max()))
    pairs = n_genes * (n_genes - 1) / 2
    error, square, mean_a, mean_b, aa, bb, ab = sums / pairs
    flat_a, flat_b = highest - lowest <= _FLAT
    agreement = float("nan") if flat_a else 0.0
    if not (flat_a or flat_b):
        agreement = float((ab - mean_a * mean_b) / np.sqrt((aa - mean_a**2) * (bb - mean_b**2)))
    return GeneCorrelation(float(error), float(np.sqrt(square)), agreement, n_genes)
