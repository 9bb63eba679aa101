"""Agreement of two (spots x genes) arrays, gene by gene.

Two rules hold for every coefficient here, so that a mean over genes cannot be flattered: a gene whose *prediction* is
constant counts 0 (the method says nothing about it), a gene whose *truth* is constant is NaN (nothing can be said).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._docs import documented

_ULPS = 16  # spread, in units of the last place of the input's own precision, that still counts as constant


@documented
def pcc(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation of each gene over the spots.

    Parameters
    ----------
    {truth} {prediction}

    Returns
    -------
    (G,) correlations. Constant prediction: 0. Constant truth: NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> from phg2st_sc.metrics import pcc
    >>> pcc([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]).round(6)
    array([1.])
    """
    x, y = paired(truth, prediction)
    sxy, sxx, syy = _centered_sums(x, y)
    return _coefficient(sxy, np.sqrt(sxx * syy), is_constant(x, truth), is_constant(y, prediction))


@documented
def ccc(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    """Lin's concordance correlation of each gene over the spots, with n - 1 variances as in torchmetrics.

    Parameters
    ----------
    {truth} {prediction}
        On the scale of the truth.

    Returns
    -------
    (G,) coefficients. Constant prediction: 0. Constant truth: NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> from phg2st_sc.metrics import ccc
    >>> ccc([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]).round(3)
    array([0.667])
    """
    x, y = paired(truth, prediction)
    sxy, sxx, syy = _centered_sums(x, y)
    shift = (x.shape[0] - 1) * (x.mean(axis=0) - y.mean(axis=0)) ** 2
    return _coefficient(2 * sxy, sxx + syy + shift, is_constant(x, truth), is_constant(y, prediction))


@documented
def mae(truth: ArrayLike, prediction: ArrayLike) -> NDArray[np.float64]:
    """Mean absolute error of each gene over the spots.

    Parameters
    ----------
    {truth} {prediction}
        On the scale of the truth.

    Returns
    -------
    (G,) errors, on the scale of the input; defined for constant genes too.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> from phg2st_sc.metrics import mae
    >>> mae([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])
    array([1.])
    """
    x, y = paired(truth, prediction)
    return np.asarray(np.abs(x - y).mean(axis=0))


@documented
def partial_pcc(truth: ArrayLike, prediction: ArrayLike, covariate: ArrayLike) -> NDArray[np.float64]:
    """Pearson correlation of each gene after a straight line in a covariate was taken out of both sides.

    With ``covariate`` = log depth, it tells how much of a correlation on log-normalised targets is left once
    sequencing depth is accounted for.

    Parameters
    ----------
    {truth} {prediction}
    covariate
        (n,) values, e.g. the logarithm of the spots' total counts. A constant one changes nothing.

    Returns
    -------
    (G,) partial correlations. Prediction a linear function of the covariate: 0. Truth one: NaN.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a value is not finite.

    Examples
    --------
    >>> from phg2st_sc.metrics import partial_pcc
    >>> depth = [1.0, 2.0, 3.0, 4.0]
    >>> partial_pcc([1.1, 1.9, 2.9, 4.1], depth, depth)
    array([0.])
    """
    x, y = paired(truth, prediction)
    z, _ = paired(covariate, covariate)
    if z.shape != (x.shape[0], 1):
        msg = f"`covariate` must hold one value per spot, {x.shape[0]}; its shape is {np.shape(covariate)}."
        raise ValueError(msg)
    x_left, x_empty = _take_out(x, z, truth)
    y_left, y_empty = _take_out(y, z, prediction)
    sxy, sxx, syy = _centered_sums(x_left, y_left)
    return _coefficient(sxy, np.sqrt(sxx * syy), x_empty, y_empty)


def paired(truth: ArrayLike, prediction: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both sides as float64 (n, G) and (n, G) or (n, 1); refuse what cannot be compared."""
    sides = []
    for name, values in (("truth", truth), ("prediction", prediction)):
        array = np.asarray(values, dtype=np.float64, order="F")  # sums over spots are quick by column
        array = array[:, None] if array.ndim == 1 else array
        if array.ndim != 2 or array.shape[0] < 2:
            msg = f"`{name}` must be (spots, genes) or (spots,) with at least 2 spots; its shape is {np.shape(values)}."
            raise ValueError(msg)
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0]
            msg = f"`{name}` is {array[row, column]} at spot {row}, gene {column}: score the predicted genes only."
            raise ValueError(msg)
        sides.append(array)
    x, y = sides
    if x.shape[0] != y.shape[0] or y.shape[1] not in (1, x.shape[1]):
        msg = f"`truth` {np.shape(truth)} and `prediction` {np.shape(prediction)} differ in spots or genes."
        raise ValueError(msg)
    return x, y


def is_constant(values: NDArray[np.float64], source: ArrayLike) -> NDArray[np.bool_]:
    """Tell which columns vary no more than rounding in the precision of ``source`` does."""
    low, high = values.min(axis=0), values.max(axis=0)
    return high - low <= _tolerance(source) * np.maximum(np.abs(low), np.abs(high))


def _tolerance(source: ArrayLike) -> float:
    dtype = np.asarray(source).dtype
    return _ULPS * float(np.finfo(dtype if dtype.kind == "f" else np.float64).eps)


def _centered_sums(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    x = x - x.mean(axis=0)
    y = y - y.mean(axis=0)
    if y.shape[1] != x.shape[1]:
        sxy = x.T @ y[:, 0]
    else:
        sxy = np.einsum("ij,ij->j", x, y)
    return sxy, np.einsum("ij,ij->j", x, x), np.einsum("ij,ij->j", y, y)


def _take_out(
    values: NDArray[np.float64], covariate: NDArray[np.float64], source: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Residuals of a straight-line fit, and which columns it explains down to rounding."""
    centered = values - values.mean(axis=0)
    z = covariate - covariate.mean(axis=0)
    if not is_constant(covariate, covariate)[0]:
        slope = (z[:, 0] @ centered) / float(z[:, 0] @ z[:, 0])
        centered -= np.multiply.outer(slope, z[:, 0]).T
    rounding = _tolerance(source) * np.abs(values).max(axis=0)
    return centered, np.sqrt((centered**2).mean(axis=0)) <= rounding


def _coefficient(
    numerator: NDArray[np.float64],
    denominator: NDArray[np.float64],
    truth_constant: NDArray[np.bool_],
    prediction_constant: NDArray[np.bool_],
) -> NDArray[np.float64]:
    defined = ~(truth_constant | prediction_constant)
    value = np.divide(numerator, denominator, out=np.zeros_like(numerator), where=defined & (denominator > 0))
    return np.where(truth_constant, np.nan, np.clip(value, -1.0, 1.0))
