"""How far the network is trusted: by what averaging it in gained on left-out patients, drawn towards a measured default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..stacking import nonnegative
from .draws import BLOCK, PATTERNS, SCATTERED

Array = NDArray[np.float64]

DEFAULT_WEIGHTS = {SCATTERED: 0.25, BLOCK: 0.25}
"""Before a cohort says better: what served slides with an image, of patients never seen and seen, where two other patients
with images were in training (ALS spinal cord, HER2+)."""
WITHOUT_FEATURES = {SCATTERED: 0.0, BLOCK: 0.0}
"""The same for networks that look at no image features: they gained nothing, and lost up to 2 % in a block (HER2+)."""
_PRIOR_PATIENTS = 6.0
"""Patients that the default is worth."""
_LARGEST = 0.8
LARGEST_SEEN = 0.2
"""On a slide whose patient has other sections in training: weights are learned on patients never seen, of whom the linear
part knows less. At .15 to .25 the network gained on HER2+, at .4 and more it lost."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A slide of a left-out patient under one draw of prompts, in standard deviations of k components.

    Attributes
    ----------
    linear, network, truth, weight
        (n, k) linear prediction, that of networks that never saw the patient, what was measured, and its share of signal
        where it is scored.
    patient
        Who it is.
    pattern
        ``"scattered"`` or ``"block"``.
    """

    linear: Array
    network: Array
    truth: Array
    weight: Array
    patient: str
    pattern: str


def alike(network: Array, linear: Array) -> Array:
    """(n, k) the network's maps about the means, and in the standard deviations, of the linear ones."""
    spread = linear.std(axis=0) / np.maximum(network.std(axis=0), 1e-9)
    return (network - network.mean(axis=0)) * spread + linear.mean(axis=0)


def learn_weights(
    judged: Sequence[Judged], groups: NDArray[np.int64], default: Mapping[str, float] = DEFAULT_WEIGHTS
) -> dict[str, Array]:
    """(k,) weights by pattern of the prompts, shared by the components of a group.

    In a group, what was measured is regressed on both predictions over left-out patients, each of whom counts the same; the
    network's share of the two coefficients, non-negative, is its weight. It is drawn towards the default as if so many more
    patients had said that. Levels and amplitudes have no say: maps are compared.
    """
    by = {pattern: [one for one in judged if one.pattern == pattern] for pattern in PATTERNS}
    return {pattern: _weights(one, groups, default[pattern]) for pattern, one in by.items()}


def _weights(judged: Sequence[Judged], groups: NDArray[np.int64], before: float) -> Array:
    n_groups = int(groups.max()) + 1
    patients = sorted({one.patient for one in judged})
    if not patients:
        return np.full(groups.size, before)
    gram, cross = np.zeros((n_groups, 2, 2)), np.zeros((n_groups, 2))
    for patient in patients:
        products = [_products(one, groups) for one in judged if one.patient == patient]
        own, along = (np.sum(parts, axis=0) for parts in zip(*products, strict=True))
        power = max(float(own.sum()), 1e-12)
        gram, cross = gram + own / power, cross + along / power
    found = np.array([_share(*group, before) for group in zip(gram, cross, strict=True)])
    drawn = (len(patients) * found + _PRIOR_PATIENTS * before) / (len(patients) + _PRIOR_PATIENTS)
    return np.clip(drawn, 0.0, _LARGEST)[groups]


def _products(one: Judged, groups: NDArray[np.int64]) -> tuple[Array, Array]:
    """(groups, 2, 2) products of the two predictions with each other, and (groups, 2) with what was measured."""
    share = one.weight / np.maximum(one.weight.sum(axis=0), 1e-12)
    made = [x - (share * x).sum(axis=0) for x in (one.linear, alike(one.network, one.linear))]
    n_groups, weight = int(groups.max()) + 1, one.weight

    def total(a: Array, b: Array) -> Array:
        return np.asarray(np.bincount(groups, (weight * a * b).sum(axis=0), n_groups), dtype=np.float64)

    gram = np.array([[total(a, b) for b in made] for a in made])
    return np.moveaxis(gram, 2, 0), np.array([total(a, one.truth) for a in made]).T


def _share(gram: Array, cross: Array, before: float) -> float:
    """The second's share of two non-negative coefficients."""
    size = np.trace(gram)
    if size <= 0:
        return before
    both = nonnegative(gram + 1e-6 * size * np.eye(2), cross)
    return float(both[1] / both.sum()) if both.sum() > 0 else before
