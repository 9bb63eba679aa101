"""The linear predictor behind every kriging method, with leave-one-out predictions in closed form.

Over the prompts a column is ``y = f + e``: ``f`` Gaussian with covariance ``ratio * (K + 1)`` (the constant stands for the
unknown level of the slide), ``e`` independent with variances proportional to 1 / total counts. Many genes share one
system, so one eigendecomposition predicts them all, whatever their ratios, and leaves every prompt out once for free
(Rasmussen & Williams 2006, section 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from ._kernels import Kernel, Places

Array = NDArray[np.float64]

RATIOS = (0.02, 0.06, 0.2)
"""Candidate squared coefficients of variation of single genes over a slide."""
COMPONENT_RATIOS = (0.15, 0.3, 0.6)
"""Candidate factors of the signal-to-noise ratio that the cohort expects of every gene component."""


@dataclass(frozen=True)
class Covariance:
    """A kernel, and the ratio of its variance to the noise of the median prompt.

    Attributes
    ----------
    kernel
        Unit-variance covariance.
    ratio
        Signal variance in units of the noise variance of the median prompt. Columns may differ: their ratios are this one
        times the ``signal`` given to the methods below.
    """

    kernel: Kernel
    ratio: Annotated[float, "> 0"]

    def signal(self, a: Places, b: Places) -> Array:
        """Covariance (n_a, n_b) of a signal of unit variance with unknown level."""
        return self.kernel.between(a, b) + 1.0

    def weights(self, prompts: Places, noise: Array, columns: Array, signal: Array | float = 1.0) -> Array:
        """(p, C): left-multiply by :meth:`signal` between targets and prompts to predict."""
        return System.of(self, prompts, noise, columns).weights(self.ratio * np.atleast_1d(signal))

    def leave_one_out(self, prompts: Places, noise: Array, columns: Array, signal: Array | float = 1.0) -> Array:
        """(p, C) what each prompt would be predicted as, had it not been measured."""
        return System.of(self, prompts, noise, columns).leave_one_out(self.ratio * np.atleast_1d(signal))


@dataclass(frozen=True, eq=False)
class System:
    """Eigensystem of ``D^-1/2 (K + 1) D^-1/2``, D the noise variances: one serves every ratio of a kernel.

    Attributes
    ----------
    values, vectors
        (p,) eigenvalues and (p, p) eigenvectors.
    root
        (p,) noise standard deviations.
    columns, rotated
        (p, C) values at the prompts, and the same over ``root`` in the eigenvectors.
    """

    values: Array
    vectors: Array
    root: Array
    columns: Array
    rotated: Array

    @classmethod
    def of(cls, covariance: Covariance, prompts: Places, noise: Array, columns: Array) -> System:
        """Decompose once; the covariance's ratio does not enter."""
        return cls.under(covariance.signal(prompts, prompts), noise, columns)

    @classmethod
    def under(cls, signal: Array, noise: Array, columns: Array) -> System:
        """The same of a covariance (p, p) of the signal."""
        root = np.sqrt(noise)
        values, vectors = eigh(signal / np.outer(root, root), check_finite=False)
        return cls(np.maximum(values, 0.0), vectors, root, columns, vectors.T @ (columns / root[:, None]))

    def weights(self, ratio: Array) -> Array:
        """(p, C) weights under one ratio, or one for each column."""
        shrunk = self.rotated * (ratio / (np.outer(self.values, ratio) + 1.0))
        return (self.vectors @ shrunk) / self.root[:, None]

    def leave_one_out(self, ratio: Array) -> Array:
        """(p, C) leave-one-out predictions under one ratio, or one for each column."""
        shrink = 1.0 / (np.outer(self.values, ratio) + 1.0)
        precision = (self.vectors**2) @ shrink
        return self.columns - (self.vectors @ (shrink * self.rotated)) / precision * self.root[:, None]

    def leave_one_out_reach(self, ratio: Array) -> Array:
        """(p, 1) or (p, C) sum of the weights that the others have in each leave-one-out prediction."""
        different, which = np.unique(ratio, return_inverse=True)
        ones = np.ones((len(self.root), different.size))
        return replace(self, columns=ones, rotated=self.vectors.T @ (ones / self.root[:, None])).leave_one_out(
            different
        )[:, which]


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

    def beats(self, other: Skill, *, standard_errors: float = 2.0) -> bool:
        """Whether the gain over ``other`` exceeds some standard errors over the spots."""
        gain = self.explained - other.explained
        return gain.size > 1 and bool(gain.mean() > standard_errors * gain.std(ddof=1) / np.sqrt(gain.size))
