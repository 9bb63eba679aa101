"""Trends: what other sections lead one to expect, followed as far as the prompts agree.

With trends ``t_j`` (n, k) in gene components the model is ``y = sum_j b_j t_j + f + e``, ``f`` Gaussian over places. The slopes
``b_j`` are shared by all components. They have a prior, learned on training sections that were predicted from the others,
and the prompts of the slide correct it (generalised least squares with a Gaussian prior; universal kriging).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...linear import System
from .serial import LowRank

Array = NDArray[np.float64]

SAME_PATIENT, OTHER_PATIENTS, SERIAL = "same_patient", "other_patients", "serial"
"""Image regression on sections of the same patient too, or of other patients alone; sections that lie on the slide."""
DEFAULT_SLOPES: Mapping[tuple[str, ...], tuple[float, ...]] = {
    (SAME_PATIENT,): (0.8,),
    (OTHER_PATIENTS,): (0.15,),
    (SERIAL,): (0.9,),
    (SAME_PATIENT, SERIAL): (0.4, 0.7),
    (OTHER_PATIENTS, SERIAL): (0.1, 0.8),
}
"""Before a cohort says better. Image regressions hardly transfer from a patient to another when patients are few."""
SLOPE_SD = 0.15
"""Prior standard deviation of a slide's slopes about those of the cohort."""
_PRIOR_SECTIONS = 1.0
"""Sections that the default slopes are worth beside those of the cohort."""


@dataclass(frozen=True, eq=False)
class Trends:
    """Trends of one slide.

    Attributes
    ----------
    kinds
        What each is, of the names above.
    values
        One (n, k) array each, in whitened rates.
    remainder
        (n, G) what is expected outside the gene components, or ``None``.
    """

    kinds: tuple[str, ...] = ()
    values: tuple[Array, ...] = ()
    remainder: LowRank | None = None

    def __bool__(self) -> bool:
        return bool(self.kinds)

    @property
    def same_patient(self) -> bool:
        """Whether other sections of the patient have a say."""
        return SAME_PATIENT in self.kinds or SERIAL in self.kinds

    def image_slope(self, slopes: Sequence[float]) -> float:
        """Slope of the image regression; 0 without one."""
        return sum(slope for kind, slope in zip(self.kinds, slopes, strict=True) if kind != SERIAL)

    def by_gene(self, vectors: Array) -> Trends:
        """The same in genes (n, G), the remainder added to what was laid on the slide."""
        values = [value @ vectors.T for value in self.values]
        if self.remainder is not None:
            values[self.kinds.index(SERIAL)] = values[self.kinds.index(SERIAL)] + self.remainder[:]
        return Trends(self.kinds, tuple(values))

    def at(self, slopes: Array) -> Array:
        """(n, k) their sum under given slopes."""
        return np.asarray(sum(slope * value for slope, value in zip(slopes, self.values, strict=True)))


def slide_slopes(system: System, ratio: Array, depth: float, at_prompts: Sequence[Array], prior: Array) -> Array:
    """Posterior mean (J,) of the slopes.

    Parameters
    ----------
    system
        Of the prompts, with the observed components as columns.
    ratio
        (k,) signal-to-noise ratios of the components.
    depth
        Counts of the median prompt: noise variances are ``noise / depth``.
    at_prompts
        J trends (p, k) at the prompts.
    prior
        Prior means.
    """
    shrink = 1.0 / (np.outer(system.values, ratio) + 1.0)
    turned = [system.vectors.T @ (one / system.root[:, None]) for one in at_prompts]
    precision = np.eye(len(turned)) / SLOPE_SD**2
    target = prior / SLOPE_SD**2
    for a, one in enumerate(turned):
        target[a] += depth * float((one * shrink * system.rotated).sum())
        for b, other in enumerate(turned):
            precision[a, b] += depth * float((one * shrink * other).sum())
    return np.asarray(np.linalg.solve(precision, target))


@dataclass(frozen=True, eq=False)
class MeasuredTrends:
    """A training section with the trends that the other sections lend it.

    Attributes
    ----------
    trends
        Made without the section itself.
    truth
        (n, k) its measured components.
    weight
        (n,) weights of its spots.
    """

    trends: Trends
    truth: Array
    weight: Array


def learn_slopes(sections: Iterable[MeasuredTrends]) -> dict[tuple[str, ...], tuple[float, ...]]:
    """Slopes by the kinds of trends that there are, each section counting the same; never negative."""
    sums: dict[tuple[str, ...], tuple[Array, Array]] = {}
    for one in sections:
        for kinds, values in _subsets(one.trends):
            size = len(kinds)
            gram, cross = sums.setdefault(kinds, (np.zeros((size, size)), np.zeros(size)))
            scale = float((one.weight[:, None] * values[0] ** 2).sum())
            if scale <= 0.0:
                continue
            for a, first in enumerate(values):
                cross[a] += float((one.weight[:, None] * first * one.truth).sum()) / scale
                for b, second in enumerate(values):
                    gram[a, b] += float((one.weight[:, None] * first * second).sum()) / scale
    return {**DEFAULT_SLOPES, **{kinds: _shrunk(kinds, *both) for kinds, both in sums.items()}}


def _subsets(trends: Trends) -> Iterable[tuple[tuple[str, ...], tuple[Array, ...]]]:
    """All trends together, and each alone: a slide to come may have only one of them."""
    if len(trends.kinds) > 1:
        yield trends.kinds, trends.values
    for kind, value in zip(trends.kinds, trends.values, strict=True):
        yield (kind,), (value,)


def _shrunk(kinds: tuple[str, ...], gram: Array, cross: Array) -> tuple[float, ...]:
    default = np.asarray(DEFAULT_SLOPES[kinds])
    prior = _PRIOR_SECTIONS * np.eye(len(kinds))
    slopes = np.linalg.solve(gram + prior, cross + prior @ default)
    return tuple(float(slope) for slope in np.clip(slopes, 0.0, 1.5))
