"""How well a perfect prediction could score, given that the held-out counts are themselves noisy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from .._docs import documented
from .._progress import part
from ._correlation import pcc
from ._targets import RADIUS, THETA, Counts, divided, gene_blocks, neighbor_operator, pearson_residuals

N_SPLITS = 5


@documented
def noise_ceiling(
    counts: Counts,
    positions: ArrayLike | None,
    *,
    seed: int = 0,
    n_splits: int = N_SPLITS,
    radius: float = RADIUS,
    theta: float = THETA,
) -> NDArray[np.float64]:
    r"""Correlation that the noise-free expression would reach on the depth-free target.

    Every count is split into two halves by fair coins, which for Poisson noise are independent measurements of the
    same spot at half the depth. With r the correlation of the targets of both halves, averaged over ``n_splits``
    splits, the ceiling is :math:`\sqrt{2r / (1 + r)}` (Spearman-Brown, then the square root for a noise-free
    prediction), and 0 where r is not positive.

    Parameters
    ----------
    {counts}
        Of the held-out spots, over the panel.
    {positions}
        ``None`` for the ceiling of the unsmoothed target.
    {seed} {n_splits} {radius} {theta:dispersion}

    Returns
    -------
    (G,) float64; NaN for a gene without any count.

    Raises
    ------
    ValueError
        If the counts are negative or not whole numbers, or ``n_splits`` is less than 1.

    Notes
    -----
    Each gene's r is itself noisy. Do not average these ceilings over genes: see
    :func:`~phg2st_sc.metrics.ceiling_of`, and the ceiling in :func:`~phg2st_sc.metrics.summarize`.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import noise_ceiling
    >>> rng = np.random.default_rng(0)
    >>> deep = rng.poisson(np.linspace(100, 900, 200)[:, None] * [1, 0] + [[0, 500]])
    >>> bool(noise_ceiling(deep, None)[0] > 0.95)
    True
    """
    operator = None if positions is None else neighbor_operator(positions, radius=radius)
    r = half_correlations(counts, (operator,), seed=seed, n_splits=n_splits, theta=theta)[0]
    return ceiling_of(r)


def ceiling_of(r: ArrayLike) -> NDArray[np.float64]:
    r"""Ceiling :math:`\sqrt{2r / (1 + r)}` that belongs to a correlation r of two halves; 0 where r is not positive.

    For one number over a whole section, give the *mean* r over genes: a mean of per-gene ceilings is biased by the
    noise of each r, while the ceiling of the mean is a bound on the mean correlation (Jensen's inequality).

    Parameters
    ----------
    r
        Correlations of any shape; NaN stays NaN.

    Returns
    -------
    float64, shaped as ``r``.

    Examples
    --------
    >>> from phg2st_sc.metrics import ceiling_of
    >>> ceiling_of([-0.2, 0.0, 1.0]).tolist()
    [0.0, 0.0, 1.0]
    """
    positive = np.maximum(np.asarray(r, dtype=np.float64), 0.0)
    return np.sqrt(2 * positive / (1 + positive))


def half_correlations(
    counts: Counts, operators: Sequence[sparse.csr_array | None], *, seed: int, n_splits: int, theta: float = THETA
) -> NDArray[np.float64]:
    """Correlation (operators, G) of two halves' targets, for several neighbourhoods from the same splits."""
    if n_splits < 1:
        msg = f"`n_splits` must be at least 1, not {n_splits}."
        raise ValueError(msg)
    whole = whole_counts(counts)
    rng = np.random.default_rng(seed)
    around = [None if operator is None else (operator, operator.sum(axis=1)) for operator in operators]
    r = np.mean(
        [
            _half_correlation(whole, around, rng, theta)
            for _ in part(range(n_splits), desc="noise ceiling", unit="split")
        ],
        axis=0,
    )
    r[:, np.asarray(whole.sum(axis=0)).reshape(-1) == 0] = np.nan
    return r


def whole_counts(counts: Counts) -> sparse.csc_array:
    """Counts as they can be split: whole, finite and not negative, or a clear error."""
    whole = sparse.csc_array(counts, dtype=np.float64)
    wrong = whole.data[(whole.data < 0) | (whole.data != np.floor(whole.data)) | ~np.isfinite(whole.data)]
    if wrong.size:
        msg = f"The noise ceiling splits raw counts; {wrong[0]} is none. Pass the layer that holds raw counts."
        raise ValueError(msg)
    return whole


def split_counts(whole: sparse.csc_array, rng: np.random.Generator) -> tuple[sparse.csc_array, sparse.csc_array]:
    """Deal every molecule to one of two halves by a fair coin."""
    first = rng.binomial(whole.data.astype(np.int64), 0.5).astype(np.float64)
    one, other = (
        sparse.csc_array((part, whole.indices, whole.indptr), whole.shape) for part in (first, whole.data - first)
    )
    return one, other


def _half_correlation(
    whole: sparse.csc_array,
    around: Sequence[tuple[sparse.csr_array, NDArray[np.float64]] | None],
    rng: np.random.Generator,
    theta: float,
) -> NDArray[np.float64]:
    """Correlation of the two halves' targets by neighborhoods and their sizes, 0 where a half is constant (no sign of signal)."""
    halves = split_counts(whole, rng)
    depths = [np.asarray(half.sum(axis=1)).reshape(-1) for half in halves]
    r = np.zeros((len(around), whole.shape[1]))
    for block in gene_blocks(*whole.shape):
        a, b = (
            pearson_residuals(half[:, block], depths=depth, theta=theta)
            for half, depth in zip(halves, depths, strict=True)
        )
        for row, near in enumerate(around):
            pair = (a, b) if near is None else tuple(divided(near[0] @ half, near[1]) for half in (a, b))
            r[row, block] = np.nan_to_num(pcc(*pair), nan=0.0)
    return r
