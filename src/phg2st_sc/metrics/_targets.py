"""What a prediction is compared with: held-out counts, made comparable between spots of different depth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from .._checks import is_positive
from .._docs import documented

Counts: TypeAlias = NDArray[Any] | sparse.spmatrix | sparse.sparray
"""(spots, genes) counts, dense or sparse."""

RADIUS = 1.5
"""Lattice pitches: reaches the eight neighbours on a square lattice, the six on a hexagonal one."""
THETA = 100.0
SHARE_SCALE = 1e4
_BLOCK_VALUES = 2_000_000
_FEWEST_GENES = 4
"""Of a block. With fewer, each spot is read for next to nothing; with more, the arrays of a million spots are so large (32 MB)
that the system gives them anew at every step, which costs more than computing."""


@documented
def pearson_residuals(
    counts: Counts, *, depths: ArrayLike | None = None, theta: float = THETA, clip: float | None = None
) -> NDArray[np.float64]:
    r"""Analytic Pearson residuals: expression relative to what a spot's depth alone would give.

    :math:`(c - \mu) / \sqrt{\mu + \mu^2 / \theta}`, where :math:`\mu` is the spot's depth times the gene's share of
    all counts over the *given* spots. Hand over held-out spots only, and nothing of a prompt enters.

    Parameters
    ----------
    {counts} {depths} {theta:dispersion}
    clip
        Residuals are clipped to ± this. Default: the square root of n.

    Returns
    -------
    (n, G) float64. A spot of depth 0 and a gene never counted have residual 0.

    Raises
    ------
    ValueError
        If ``depths`` does not hold one finite, non-negative value per spot, or ``theta`` is not positive.

    References
    ----------
    Lause, Berens and Kobak, Genome Biology 22:258 (2021); the same values as
    ``scanpy.experimental.pp.normalize_pearson_residuals``.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import pearson_residuals
    >>> pearson_residuals(np.array([[2, 2], [4, 4]])).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    if not theta > 0:
        msg = f"`theta` must be positive, not {theta}."
        raise ValueError(msg)
    dense = dense_counts(counts)
    depth = spot_values(depths, "depths", dense.shape[0]) if depths is not None else dense.sum(axis=1)
    total = depth.sum()
    share = dense.sum(axis=0) / total if total > 0 else np.zeros(dense.shape[1])
    mu = np.multiply.outer(share, depth).T
    spread = np.sqrt(mu + mu**2 / theta)
    residuals = np.divide(dense - mu, spread, out=np.zeros_like(dense), where=spread > 0)
    limit = np.sqrt(dense.shape[0]) if clip is None else clip
    return np.clip(residuals, -limit, limit, out=residuals)


@documented
def neighbor_operator(positions: ArrayLike, *, radius: float = RADIUS) -> sparse.csr_array:
    """Sparse (n, n) 0/1 matrix of the spots within ``radius`` of each spot, itself included.

    Parameters
    ----------
    {positions} {radius}

    Returns
    -------
    ``scipy.sparse.csr_array`` of float64: multiplied with (n, G) values it sums over each neighbourhood.

    Raises
    ------
    ValueError
        If ``positions`` is not a finite (n, 2) array, or ``radius`` is negative.

    Examples
    --------
    >>> from phg2st_sc.metrics import neighbor_operator
    >>> neighbor_operator([[0, 0], [1, 0], [5, 0]]).toarray().tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        msg = f"`positions` must be a finite (n, 2) array in lattice pitches; its shape is {points.shape}."
        raise ValueError(msg)
    if not radius >= 0:
        msg = f"`radius` must be 0 or more lattice pitches, not {radius}."
        raise ValueError(msg)
    n = points.shape[0]
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    own = np.arange(n)
    rows = np.concatenate([pairs[:, 0], pairs[:, 1], own])
    columns = np.concatenate([pairs[:, 1], pairs[:, 0], own])
    return sparse.csr_array((np.ones(rows.size), (rows, columns)), shape=(n, n))


@documented
def neighbor_mean(values: ArrayLike, positions: ArrayLike, *, radius: float = RADIUS) -> NDArray[np.float64]:
    """Average values over each spot's neighbourhood among the given spots, itself included.

    Parameters
    ----------
    values
        (n, G) values of the held-out spots, or (n,).
    {positions}
        Of the same spots: a prompt that is not among them is never averaged in.
    {radius}

    Returns
    -------
    float64, shaped as ``values``.

    Raises
    ------
    ValueError
        If ``values`` and ``positions`` are not over the same spots.

    Examples
    --------
    >>> from phg2st_sc.metrics import neighbor_mean
    >>> neighbor_mean([1.0, 3.0, 9.0], [[0, 0], [1, 0], [5, 0]]).tolist()
    [2.0, 2.0, 9.0]
    """
    array = np.asarray(values, dtype=np.float64)
    operator = neighbor_operator(positions, radius=radius)
    if array.shape[0] != operator.shape[0]:
        msg = f"`values` is over {array.shape[0]} spots, `positions` over {operator.shape[0]}."
        raise ValueError(msg)
    return average(array, operator)


def average(values: NDArray[np.float64], operator: sparse.csr_array) -> NDArray[np.float64]:
    """Mean over each neighbourhood of :func:`neighbor_operator`."""
    return divided(operator @ values, operator.sum(axis=1))


def divided(sums: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means from sums over neighborhoods, column by column in memory as everything here is."""
    return np.asfortranarray(sums / (sizes if sums.ndim == 1 else sizes[:, None]))


@documented
def depth_free_target(
    counts: Counts,
    positions: ArrayLike | None,
    *,
    depths: ArrayLike | None = None,
    radius: float = RADIUS,
    theta: float = THETA,
) -> NDArray[np.float64]:
    """Primary target of every score: Pearson residuals of held-out counts, averaged over held-out neighbours.

    On log-normalised targets a spot's own sequencing depth, one map for all genes, predicts better than any
    interpolation of real expression; on this target it predicts nothing.

    Parameters
    ----------
    {counts}
        Of the held-out spots, over the panel.
    {positions}
        ``None`` leaves out the averaging.
    {depths} {radius} {theta:dispersion}

    Returns
    -------
    (n, G) float64.

    Raises
    ------
    ValueError
        If ``depths`` does not hold one finite, non-negative value per spot, ``theta`` is not positive, or ``positions`` are
        not over the same spots.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import depth_free_target
    >>> twice_as_deep = np.array([[2, 1], [4, 2], [8, 4]])
    >>> depth_free_target(twice_as_deep, np.array([[0, 0], [1, 0], [2, 0]])).round(6).tolist()
    [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    """
    residuals = pearson_residuals(counts, depths=depths, theta=theta)
    return residuals if positions is None else neighbor_mean(residuals, positions, radius=radius)


@documented
def lognorm_target(counts: Counts, totals: ArrayLike, *, target_sum: float) -> NDArray[np.float64]:
    """Log-normalised counts log1p(s * count / total), the target that most of the literature scores.

    Mostly a map of sequencing depth: always read it beside the depth-only column and the depth-adjusted one.

    Parameters
    ----------
    {counts} {totals} {target_sum}

    Returns
    -------
    (n, G) float64; a spot of total 0 is 0.

    Raises
    ------
    ValueError
        If ``totals`` does not hold one finite, non-negative value per spot, or ``target_sum`` is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import lognorm_target
    >>> np.expm1(lognorm_target(np.array([[1, 3]]), [4], target_sum=100.0)).round(6).tolist()
    [[25.0, 75.0]]
    """
    if not is_positive(target_sum):
        msg = f"`target_sum` must be a positive number, not {target_sum!r}."
        raise ValueError(msg)
    dense = dense_counts(counts)
    total = spot_values(totals, "totals", dense.shape[0])[:, None]
    return np.log1p(target_sum * np.divide(dense, total, out=np.zeros_like(dense), where=total > 0))


@documented
def share_target(
    counts: Counts, totals: ArrayLike, positions: ArrayLike | None, *, radius: float = RADIUS
) -> NDArray[np.float64]:
    """Target of CCC and MAE: log1p(1e4 * share), from counts pooled over held-out neighbours.

    Counts and totals are summed over the neighbourhood before the ratio is taken, so that deep spots weigh more.

    Parameters
    ----------
    {counts}
        Of the held-out spots.
    {totals} {positions}
        ``None`` pools nothing.
    {radius}

    Returns
    -------
    (n, G) float64.

    Raises
    ------
    ValueError
        If ``totals`` does not hold one finite, non-negative value per spot, or ``positions`` is not a finite (n, 2) array.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import share_target
    >>> np.expm1(share_target(np.array([[1, 3]]), [4], None)).round(6).tolist()
    [[2500.0, 7500.0]]
    """
    dense = dense_counts(counts)
    total = spot_values(totals, "totals", dense.shape[0])
    if positions is not None:
        operator = neighbor_operator(positions, radius=radius)
        dense, total = np.asarray(operator @ dense), np.asarray(operator @ total)
    return lognorm_target(dense, total, target_sum=SHARE_SCALE)


@documented
def predicted_rate(prediction: ArrayLike, target_sum: float) -> NDArray[np.floating]:
    """Invert log1p(s * rate); negative rates count as zero.

    The precision of the input is kept, since it decides what counts as a constant prediction.

    Parameters
    ----------
    {prediction:log} {target_sum}

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import predicted_rate
    >>> predicted_rate(np.log1p([0.0, 25.0]), 100.0).round(6).tolist()
    [0.0, 0.25]
    """
    values = np.asarray(prediction)
    rate = np.expm1(np.maximum(values.astype(np.float64), 0.0)) / target_sum
    return rate.astype(values.dtype if values.dtype.kind == "f" else np.float64)


@documented
def predicted_share(prediction: ArrayLike, target_sum: float) -> NDArray[np.floating]:
    """Bring a prediction log1p(s * rate) to log1p(1e4 * share), the scale of :func:`share_target`.

    Parameters
    ----------
    {prediction:log} {target_sum}

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import predicted_share
    >>> np.expm1(predicted_share(np.log1p([25.0]), 100.0)).round(6).tolist()
    [2500.0]
    """
    return np.log1p(SHARE_SCALE * predicted_rate(prediction, target_sum))


def gene_blocks(n_spots: int, n_genes: int) -> Iterator[slice]:
    """Ranges of genes small enough that float64 copies of a block stay cheap."""
    width = max(_FEWEST_GENES, _BLOCK_VALUES // max(1, n_spots))
    for start in range(0, n_genes, width):
        yield slice(start, min(start + width, n_genes))


def dense_counts(counts: Counts) -> NDArray[np.float64]:
    """(n, G) float64 array of dense or sparse counts, column by column in memory: sums over spots are then quick."""
    array: Any = counts
    array = array.toarray(order="F") if sparse.issparse(array) else array
    dense = np.asarray(array, dtype=np.float64, order="F")
    if dense.ndim != 2:
        msg = f"`counts` must be (spots, genes); its shape is {dense.shape}."
        raise ValueError(msg)
    return dense


def spot_values(values: ArrayLike, name: str, n: int) -> NDArray[np.float64]:
    """One finite, non-negative number per spot, or a clear error."""
    array = np.asarray(values, dtype=np.float64).reshape(-1)
    if array.shape[0] != n or not np.isfinite(array).all() or (array < 0).any():
        msg = f"`{name}` must hold one finite, non-negative value for each of the {n} spots."
        raise ValueError(msg)
    return array
