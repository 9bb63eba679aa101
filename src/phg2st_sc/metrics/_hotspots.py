"""Whether a marker is predicted to be strongest where it was measured to be strongest."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._docs import documented
from ._correlation import is_constant, paired

TOP_SHARE = 0.1
COVERED = 0.3
"""PCC from which a marker's map counts as covered."""


@documented
def hotspot_coverage(truth: ArrayLike, prediction: ArrayLike, *, share: float = TOP_SHARE) -> NDArray[np.float64]:
    """Share of the spots where a gene was strongest that the prediction names too.

    The strongest ``share`` of the spots are taken on both sides, so that this is precision and recall at once. Where
    values tie at the border, their places are shared out evenly: the coverage expected of a random choice among them.

    Parameters
    ----------
    {truth} {prediction} {share}

    Returns
    -------
    (G,) values between 0 and 1. No signal at all, a constant prediction included, is expected to score ``share`` (to
    the rounding to whole spots). Constant truth: NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, or ``share`` is out of range.

    Notes
    -----
    Only ranks enter: smoothing is not rewarded as such, and level and scale play no part. On the depth-free target a
    map of depth scores about ``share``. :func:`hotspot_kappa` is the same with chance taken out.

    Examples
    --------
    >>> from phg2st_sc.metrics import hotspot_coverage
    >>> hotspot_coverage([0, 0, 1, 5, 9, 8], [1, 0, 2, 9, 7, 3], share=1 / 3).tolist()
    [0.5]
    """
    x, y = paired(truth, prediction)
    count = _n_strongest(x.shape[0], share)
    y = np.where(is_constant(y, prediction), 0.0, y)  # rounding is no order
    both = np.einsum("ij,ij->j", _strongest(x, count), np.broadcast_to(_strongest(y, count), x.shape)) / count
    return np.where(is_constant(x, truth), np.nan, np.clip(both, 0.0, 1.0))


@documented
def hotspot_kappa(truth: ArrayLike, prediction: ArrayLike, *, share: float = TOP_SHARE) -> NDArray[np.float64]:
    """Coverage of the strongest spots beyond chance: Cohen's kappa of "among the strongest" on both sides.

    With c the :func:`hotspot_coverage` and k / n the share of spots that count as strongest, it is
    (c - k / n) / (1 - k / n).

    Parameters
    ----------
    {truth} {prediction} {share}

    Returns
    -------
    (G,) values up to 1. No signal, a constant prediction included: 0. Constant truth: NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, or ``share`` is out of range.

    References
    ----------
    Cohen, Educational and Psychological Measurement 20:37 (1960).

    Examples
    --------
    >>> from phg2st_sc.metrics import hotspot_kappa
    >>> hotspot_kappa([0, 0, 1, 5, 9, 8], [1, 0, 2, 9, 7, 3], share=1 / 3).round(6)
    array([0.25])
    """
    coverage = hotspot_coverage(truth, prediction, share=share)
    n = np.shape(truth)[0]
    return kappa_of(coverage, _n_strongest(n, share) / n)


def kappa_of(coverage: NDArray[np.float64], chance: float) -> NDArray[np.float64]:
    """Coverage rescaled such that chance is 0 and 1 stays 1."""
    return np.asarray((coverage - chance) / (1 - chance))


def chance_coverage(n_spots: int, share: float) -> float:
    """Coverage that is expected of a random choice of spots."""
    return _n_strongest(n_spots, share) / n_spots


def _n_strongest(n_spots: int, share: float) -> int:
    if not 0 < share < 1:
        msg = f"`share` must be above 0 and below 1, not {share}."
        raise ValueError(msg)
    return min(max(1, round(share * n_spots)), n_spots - 1)


def _strongest(values: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Membership (n, G) among the ``count`` strongest spots; ties at the border share what places are left."""
    border = np.partition(values, -count, axis=0)[-count]
    above, tied = values > border, values == border
    return above + tied * ((count - above.sum(axis=0)) / tied.sum(axis=0))
