"""How far a correction is trusted: by what it gained on left-out slides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_ENOUGH_SLIDES = 4
"""From so many slides on, slides are the units over which gains spread; below, ninths of slides are."""
_SURE = 2.0
"""Standard errors that the gain over all components must exceed: stopping was chosen on the same slides."""


@dataclass(frozen=True, eq=False)
class Checked:
    """A validation episode.

    Attributes
    ----------
    linear, correction, truth, weight
        (n, k) linear prediction, correction, what was measured, and its share of signal where it is scored.
    positions
        (n, 2) in pitches.
    slide
        Number of the slide.
    """

    linear: Array
    correction: Array
    truth: Array
    weight: Array
    positions: Array
    slide: int


def trusted(checked: Sequence[Checked], groups: NDArray[np.int64]) -> tuple[Array, float, float]:
    """(k,) weights in [0, 1] of a correction; its cross-validated gain in correlation, and the standard error of that.

    A group's weight is the least-squares one, halfway to that of all components together. To be judged, it is learned for
    each unit from the others. Units are slides, or where there are fewer than four of them ninths of slides: several
    episodes of a slide share its noise, and their spread would flatter. Standard errors come from leaving out one unit at a
    time. A gain over all that does not exceed two of them switches everything off, a group's that does not exceed one its
    group; others are shrunk by 1 - (error / gain)².

    Parameters
    ----------
    checked
        Validation episodes.
    groups
        (k,) group of each component.
    """
    off = np.zeros(len(groups))
    labels = _units(checked)
    n_units = 1 + max((int(label.max()) for label in labels), default=0)
    if n_units < 2:
        return off, 0.0, float("inf")
    sums = [_sums(one, label, n_units) for one, label in zip(checked, labels, strict=True)]
    along, size = np.sum([one[0] for one in sums], axis=0), np.sum([one[1] for one in sums], axis=0)
    others = np.stack([_weights(along.sum(0) - along[u], size.sum(0) - size[u], groups) for u in range(n_units)])
    judged = [
        (one.linear, one.linear + others[label] * one.correction, one)
        for one, label in zip(checked, labels, strict=True)
    ]
    found = _gains(judged, labels, groups, without=None)
    left_out = np.stack([_gains(judged, labels, groups, without=u) for u in range(n_units)])
    error = np.sqrt((n_units - 1) / n_units * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    if found[-1] <= _SURE * error[-1]:
        return off, float(found[-1]), float(error[-1])
    shrinkage = np.array([_shrinkage(gain, spread) for gain, spread in zip(found, error, strict=True)])
    alpha = _weights(along.sum(0), size.sum(0), groups) * shrinkage[groups] * shrinkage[-1]
    return alpha, float(found[-1]), float(error[-1])


def _units(checked: Sequence[Checked]) -> list[NDArray[np.int64]]:
    """(n,) unit of each spot of each episode."""
    slides = sorted({one.slide for one in checked})
    number = [slides.index(one.slide) for one in checked]
    if len(slides) >= _ENOUGH_SLIDES:
        return [np.full(len(one.truth), i) for one, i in zip(checked, number, strict=True)]
    return [9 * i + _ninths(one.positions) for one, i in zip(checked, number, strict=True)]


def _ninths(positions: Array) -> NDArray[np.int64]:
    columns, rows = (np.searchsorted(np.quantile(axis, [1 / 3, 2 / 3]), axis) for axis in positions.T)
    return (3 * columns + rows).astype(np.int64)


def _sums(one: Checked, label: NDArray[np.int64], n_units: int) -> tuple[Array, Array]:
    """(units, k) products of the correction with what the linear part misses, and with itself."""
    share = one.weight / max(float(one.weight.sum()), 1e-12)
    along, size = np.zeros((2, n_units, one.truth.shape[1]))
    np.add.at(along, label, share * one.correction * (one.truth - one.linear))
    np.add.at(size, label, share * one.correction**2)
    return along, size


def _weights(along: Array, size: Array, groups: NDArray[np.int64]) -> Array:
    """(k,) least-squares weights of the groups, non-negative and at most 1, halfway to the common one."""
    together = along.sum() / max(size.sum(), 1e-12)
    alone = np.bincount(groups, along) / np.maximum(np.bincount(groups, size), 1e-12)
    return 0.5 * np.clip(alone, 0.0, 1.0)[groups] + 0.5 * np.clip(together, 0.0, 1.0)


def _gains(
    judged: Sequence[tuple[Array, Array, Checked]],
    labels: Sequence[NDArray[np.int64]],
    groups: NDArray[np.int64],
    *,
    without: int | None,
) -> Array:
    """(groups + 1,) mean correlation gained by group, and last by all, over the episodes without one unit."""
    found = []
    for (before, after, one), label in zip(judged, labels, strict=True):
        weight = one.weight if without is None else one.weight * (label != without)[:, None]
        if weight.any():
            gain = _correlations(after, one.truth, weight) - _correlations(before, one.truth, weight)
            share = one.weight.mean(axis=0) + 1e-12
            by_group = np.bincount(groups, share * gain) / np.bincount(groups, share)
            found.append(np.append(by_group, np.average(gain, weights=share)))
    return np.mean(found, axis=0)


def _correlations(a: Array, b: Array, weight: Array) -> Array:
    weight = weight / np.maximum(weight.sum(axis=0), 1e-12)
    a, b = (x - (weight * x).sum(axis=0) for x in (a, b))
    norm = np.sqrt((weight * a * a).sum(axis=0) * (weight * b * b).sum(axis=0))
    return np.where(norm > 1e-12, (weight * a * b).sum(axis=0) / np.maximum(norm, 1e-12), 0.0)


def _shrinkage(gain: float, error: float) -> float:
    return 0.0 if gain <= error or gain <= 0.0 else 1.0 - (error / gain) ** 2
