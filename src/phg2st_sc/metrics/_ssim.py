"""Structural similarity of maps whose spots are no full raster: local windows around held-out spots."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from .._docs import documented
from ._correlation import is_constant, paired
from ._targets import gene_blocks

WINDOW = 7
MIN_SHARE = 0.5
_K1, _K2 = 0.01, 0.03


@documented
def ssim(
    truth: ArrayLike,
    prediction: ArrayLike,
    positions: ArrayLike,
    *,
    window: int = WINDOW,
    min_share: float = MIN_SHARE,
    rescale: bool = True,
    data_range: ArrayLike | None = None,
) -> NDArray[np.float64]:
    r"""Mean structural similarity (SSIM) of each gene's map, over windows of held-out spots.

    A window is the square of ``window`` x ``window`` lattice pitches around a spot, and holds the given spots in it:
    places of prompts, and places outside the tissue, stay empty and are never filled in. It works on square and
    hexagonal lattices alike and needs no raster. Per window, means :math:`\mu`, variances :math:`\sigma^2` and the
    covariance over its spots (n - 1 in the denominator) give

    .. math:: \frac{(2\mu_t\mu_p + C_1)(2\sigma_{tp} + C_2)}{(\mu_t^2 + \mu_p^2 + C_1)(\sigma_t^2 + \sigma_p^2 + C_2)}

    with :math:`C_1 = (0.01 R)^2`, :math:`C_2 = (0.03 R)^2` and R the range of the truth. On a full square lattice with
    ``rescale=False`` and ``min_share=1`` this is ``skimage.metrics.structural_similarity(win_size=window)``.

    Parameters
    ----------
    {truth} {prediction} {positions}
    window
        Side of the window in lattice pitches, odd.
    min_share
        A window counts if it holds at least this share of the spots of the fullest one.
    rescale
        Bring the prediction to the truth's mean and standard deviation over all spots, and both to a smallest true
        value of 0, since a rate and a residual share no unit. Level and scale are forgiven, as by a correlation.
    data_range
        R, one number or one per gene; default the range of the truth.

    Returns
    -------
    (G,) values up to 1. Constant prediction: 0. Constant truth: NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, ``window`` is not odd and at least 3, or ``min_share`` is
        not in (0, 1].

    Notes
    -----
    Comparisons such as Li et al. take *one* window over all spots, in whatever order they are listed, after dividing
    each map by its maximum. That number sees no neighbourhood: with equal means and variances it is the correlation
    again (and a single outlier sets the scale), which is why windows are used here.

    The truth's noise is in the windows' variances, so that a perfect prediction stays below 1, the more so the
    shallower the counts: compare methods on the same section, or with ``ssim_halves`` of
    :func:`~phg2st_sc.metrics.score_section`. On the depth-free target a map of depth scores about 0.

    References
    ----------
    Wang, Bovik, Sheikh and Simoncelli, IEEE Transactions on Image Processing 13:600 (2004); Li et al., Nature Methods
    19:662 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.metrics import ssim
    >>> grid = np.argwhere(np.ones((9, 9)))
    >>> stripes = np.sin(grid[:, 0])
    >>> ssim(stripes, 2 * stripes + 5, grid).round(6)
    array([1.])
    """
    windows = window_operator(positions, window=window, min_share=min_share)
    return ssim_of(truth, prediction, windows, rescale=rescale, data_range=data_range)


def ssim_of(
    truth: ArrayLike,
    prediction: ArrayLike,
    windows: sparse.csr_array,
    *,
    rescale: bool = True,
    data_range: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """As :func:`ssim`, over windows of :func:`window_operator`."""
    x, y = paired(truth, prediction)
    if windows.shape[1] != x.shape[0]:
        msg = f"`truth` is over {x.shape[0]} spots, `positions` over {windows.shape[1]}."
        raise ValueError(msg)
    empty, flat = is_constant(x, truth), is_constant(y, prediction)
    y, flat = np.broadcast_to(y, x.shape), np.broadcast_to(flat, empty.shape)
    span = np.ptp(x, axis=0) if data_range is None else np.broadcast_to(np.asarray(data_range, float), empty.shape)
    value = np.zeros(x.shape[1])
    for genes in gene_blocks(*x.shape):
        pair = _rescaled(x[:, genes], y[:, genes]) if rescale else (x[:, genes], y[:, genes])
        value[genes] = _mean_ssim(*pair, windows, span[genes])
    return np.where(empty, np.nan, np.where(flat, 0.0, value))


def window_operator(positions: ArrayLike, *, window: int, min_share: float) -> sparse.csr_array:
    """0/1 matrix (windows, n): which spots each window that counts holds."""
    if window < 3 or window % 2 == 0:
        msg = f"`window` must be an odd number of lattice pitches, 3 or more, not {window}."
        raise ValueError(msg)
    if not 0 < min_share <= 1:
        msg = f"`min_share` must be above 0 and at most 1, not {min_share}."
        raise ValueError(msg)
    points = np.asarray(positions, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        msg = f"`positions` must be a finite (n, 2) array in lattice pitches; its shape is {points.shape}."
        raise ValueError(msg)
    n = points.shape[0]
    # half a window reaches half a pitch beyond the last spot in it, so that spots slightly off the lattice stay in
    pairs = cKDTree(points).query_pairs(window / 2, p=np.inf, output_type="ndarray")
    own = np.arange(n)
    rows, columns = np.concatenate([pairs[:, 0], pairs[:, 1], own]), np.concatenate([pairs[:, 1], pairs[:, 0], own])
    operator = sparse.csr_array((np.ones(rows.size), (rows, columns)), shape=(n, n))
    size = operator.sum(axis=1)
    return operator[np.flatnonzero((size >= min_share * size.max()) & (size >= 2))]


def _rescaled(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    spread = y.std(axis=0)
    scale = np.divide(x.std(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)
    low = x.min(axis=0)
    return x - low, (y - y.mean(axis=0)) * scale + (x.mean(axis=0) - low)


def _mean_ssim(
    x: NDArray[np.float64], y: NDArray[np.float64], operator: sparse.csr_array, span: NDArray[np.float64]
) -> NDArray[np.float64]:
    if operator.shape[0] == 0:
        return np.full(x.shape[1], np.nan)
    size = operator.sum(axis=1)[:, None]
    center = x.mean(axis=0), y.mean(axis=0)  # moments about them lose no digits to a large level
    a, b = x - center[0], y - center[1]
    ux, uy = operator @ a / size, operator @ b / size
    sample = size / (size - 1)
    vx, vy = sample * (operator @ a**2 / size - ux**2), sample * (operator @ b**2 / size - uy**2)
    cov = sample * (operator @ (a * b) / size - ux * uy)
    ux, uy = ux + center[0], uy + center[1]
    c1, c2 = (_K1 * span) ** 2, (_K2 * span) ** 2
    below = (ux**2 + uy**2 + c1) * (vx + vy + c2)
    above = (2 * ux * uy + c1) * (2 * cov + c2)
    return np.asarray(np.divide(above, below, out=np.zeros_like(above), where=below > 0).mean(axis=0))
