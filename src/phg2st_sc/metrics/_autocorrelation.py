"""How smooth maps are: Moran's I of each gene, and that of predicted maps relative to measured ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._docs import documented
from ._correlation import is_constant, paired
from ._targets import RADIUS, neighbor_operator

MIN_Z = 2.0
"""Standard errors above its expectation from which a measured Moran's I counts as spatial structure."""


@documented
def morans_i(values: ArrayLike, positions: ArrayLike, *, radius: float = RADIUS) -> NDArray[np.float64]:
    """Moran's I of each gene, with neighbours within ``radius`` and weights that sum to 1 per spot.

    Parameters
    ----------
    values
        (n, G) values, or (n,) for one gene.
    {positions} {radius}
        The default reaches eight neighbours on a square lattice, six on a hexagonal one.

    Returns
    -------
    (G,) values; ``-1 / (n - 1)`` is expected without spatial structure. NaN for a constant map, and for all where no
    spot has a neighbour.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Notes
    -----
    The same as ``squidpy.gr.spatial_autocorr(mode="moran")`` on a graph of these neighbours.

    References
    ----------
    Moran, Biometrika 37:17 (1950).

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import morans_i
    >>> line = np.stack([np.arange(6), np.zeros(6)], axis=1)
    >>> morans_i([0, 0, 0, 1, 1, 1], line).round(3)
    array([0.667])
    """
    x, _ = paired(values, values)
    weights = neighbor_weights(neighbor_operator(positions, radius=radius))
    if weights.shape[0] != x.shape[0]:
        msg = f"`values` is over {x.shape[0]} spots, `positions` over {weights.shape[0]}."
        raise ValueError(msg)
    return morans_i_of(x, weights, is_constant(x, values))


@documented
def morans_i_ratio(
    truth: ArrayLike, prediction: ArrayLike, positions: ArrayLike, *, radius: float = RADIUS
) -> NDArray[np.float64]:
    """Moran's I of the predicted map divided by that of the measured one.

    **It says nothing of whether the map is right, and rewards smoothing**: noise in the measured map lowers its I, so a
    perfect prediction lies *above* 1, and an oversmoothed one further above. A map of sequencing depth, or the same map
    for every gene, has a ratio like any other. Nearer to 1 is therefore not better, and higher is not either; read it
    beside a correlation, and beside ``morans_i_ratio_noise_free`` of :func:`~phg2st_sc.metrics.score_section`, which
    takes the noise into account and is 1 for a perfect prediction.

    Parameters
    ----------
    {truth}
        Measured at held-out spots, and *unsmoothed*, since averaging over neighbours is itself a Moran's I of about a half.
    {prediction} {positions} {radius}

    Returns
    -------
    (G,) ratios. Constant prediction: 0. NaN where the measured map shows no spatial structure (constant, or I less than
    2 standard errors above its expectation without structure): there is nothing to compare with.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    References
    ----------
    Standard error: Cliff and Ord, Spatial Processes (1981), under normality.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import morans_i_ratio
    >>> grid = np.argwhere(np.ones((8, 8)))
    >>> measured = grid[:, 0] + np.random.default_rng(0).normal(0, 2, 64)
    >>> bool(morans_i_ratio(measured, grid[:, 0], grid)[0] > 1)
    True
    """
    x, y = paired(truth, prediction)
    weights = neighbor_weights(neighbor_operator(positions, radius=radius))
    if weights.shape[0] != x.shape[0]:
        msg = f"`truth` is over {x.shape[0]} spots, `positions` over {weights.shape[0]}."
        raise ValueError(msg)
    measured = morans_i_of(x, weights, is_constant(x, truth))
    return ratio_of(measured, morans_i_of(y, weights, is_constant(y, prediction)), least_structure(weights))


def neighbor_weights(operator: sparse.csr_array) -> sparse.csr_array:
    """Weights of the neighbours of each spot, without itself, that sum to 1 (to 0 for a spot without neighbours)."""
    others = sparse.csr_array(operator - sparse.diags_array(operator.diagonal()))
    others.eliminate_zeros()
    size = others.sum(axis=1)
    return sparse.csr_array(sparse.diags_array(1 / np.maximum(size, 1)) @ others)


def morans_i_of(
    values: NDArray[np.float64], weights: sparse.csr_array, constant: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Moran's I of the columns for given weights; NaN where constant."""
    centered = values - values.mean(axis=0)
    squares, total = np.einsum("ij,ij->j", centered, centered), float(weights.sum())
    defined = ~constant & (squares > 0) & (total > 0)
    cross = np.einsum("ij,ij->j", centered, np.asarray(weights @ centered))
    scale = np.where(defined, total * squares / values.shape[0], 1.0)
    return np.where(defined, cross / scale, np.nan)


def least_structure(weights: sparse.csr_array) -> float:
    """Moran's I above which a map has spatial structure."""
    return -1 / (weights.shape[0] - 1) + MIN_Z * standard_error(weights)


def ratio_of(measured: NDArray[np.float64], predicted: NDArray[np.float64], least: float) -> NDArray[np.float64]:
    """Ratio of two Moran's I by the rules of :func:`morans_i_ratio`, where the measured one is more than ``least``."""
    structured = measured > least
    predicted = np.broadcast_to(np.nan_to_num(predicted, nan=0.0), measured.shape)
    return np.divide(predicted, measured, out=np.full(measured.shape, np.nan), where=structured)


def standard_error(weights: sparse.csr_array) -> float:
    """Standard deviation of Moran's I over values without structure, under normality; NaN without neighbours."""
    n, total = weights.shape[0], float(weights.sum())
    if total == 0 or n < 3:
        return float("nan")
    s1 = 0.5 * float(((weights + weights.T) ** 2).sum())
    s2 = float(((weights.sum(axis=1) + weights.sum(axis=0)) ** 2).sum())
    variance = (n**2 * s1 - n * s2 + 3 * total**2) / ((n**2 - 1) * total**2) - 1 / (n - 1) ** 2
    return float(np.sqrt(max(variance, 0.0)))


def noise_free_ratio(
    measured: NDArray[np.float64], predicted: NDArray[np.float64], half_r: NDArray[np.float64], n_spots: int
) -> float:
    """Moran's I of predictions over that of noise-free expression, pooled over genes; NaN where that is not positive.

    With reliability rel = 2r / (1 + r), the measured I is rel * I(noise-free) + (1 - rel) * I(noise), and I(noise) is
    -1 / (n - 1). Pooled with weights rel, no gene's ratio is divided by its own small, noisy I.
    """
    known = np.isfinite(measured) & np.isfinite(half_r) & (half_r > -1)
    if not known.any():
        return float("nan")
    r = half_r[known]
    reliability = 2 * r / (1 + r)
    clean = float((measured[known] + (1 - reliability) / (n_spots - 1)).sum())
    return float(reliability @ np.nan_to_num(predicted[known], nan=0.0)) / clean if clean > 0 else float("nan")
