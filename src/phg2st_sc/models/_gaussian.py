"""The linear predictor behind every kriging method, with leave-one-out predictions in closed form.

Over the prompts a column is ``y = f + e``: ``f`` Gaussian with covariance ``ratio * (K + 1)`` (the constant stands for the
unknown level of the slide), ``e`` independent with variances proportional to 1 / total counts. Many genes share one
system, so one factorisation predicts them all, and leaves every prompt out once for free (Rasmussen & Williams 2006,
section 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ._kernels import Kernel, Places

Array = NDArray[np.float64]

RATIOS = (0.08, 0.25, 0.75)
"""Candidate signal variances in units of the noise variance of the median prompt."""


@dataclass(frozen=True)
class Covariance:
    """A kernel, and the ratio of its variance to the noise of the median prompt."""

    kernel: Kernel
    ratio: float

    def signal(self, a: Places, b: Places) -> Array:
        """Signal covariance (n_a, n_b)."""
        return self.ratio * (self.kernel.between(a, b) + 1.0)

    def weights(self, prompts: Places, noise: Array, columns: Array) -> Array:
        """(p, C): left-multiply by :meth:`signal` between targets and prompts to predict."""
        return np.asarray(cho_solve(self._factor(prompts, noise), columns, check_finite=False))

    def leave_one_out(self, prompts: Places, noise: Array, columns: Array) -> Array:
        """(p, C) what each prompt would be predicted as, had it not been measured."""
        precision = np.asarray(cho_solve(self._factor(prompts, noise), np.eye(noise.size), check_finite=False))
        return columns - (precision @ columns) / np.diag(precision)[:, None]

    def _factor(self, prompts: Places, noise: Array) -> tuple[Array, bool]:
        system = self.signal(prompts, prompts)
        system[np.diag_indices_from(system)] += noise
        factor, lower = cho_factor(system, lower=True, check_finite=False)
        return factor, bool(lower)


@dataclass(frozen=True)
class Skill:
    """How well predictions of unseen spots explain the truth, spot by spot.

    Attributes
    ----------
    cross, power, total
        (p,) sums over columns of truth x prediction, prediction squared and truth squared, each over the noise variance.
    """

    cross: Array
    power: Array
    total: Array

    @classmethod
    def of(cls, truth: Array, predicted: Array, noise: Array) -> Skill:
        """Weigh every spot by the inverse of its noise variance."""
        return cls(
            (truth * predicted).sum(axis=1) / noise,
            (predicted**2).sum(axis=1) / noise,
            (truth**2).sum(axis=1) / noise,
        )

    @property
    def amplitude(self) -> float:
        """Best common factor of the predictions, kept within 0.1 and 8.

        Not zero: on few prompts the factor is itself uncertain, and a map that is too flat still ranks places.
        """
        power = float(self.power.sum())
        return float(np.clip(self.cross.sum() / power, 0.1, 8.0)) if power > 0 else 1.0

    @property
    def explained(self) -> Array:
        """(p,) weighted sum of squares explained at each spot, at the best amplitude."""
        return 2.0 * self.amplitude * self.cross - self.amplitude**2 * self.power

    def beats(self, other: Skill) -> bool:
        """Whether the gain over ``other`` exceeds two standard errors over the spots."""
        gain = self.explained - other.explained
        return gain.size > 1 and bool(gain.mean() > 2.0 * gain.std(ddof=1) / np.sqrt(gain.size))
