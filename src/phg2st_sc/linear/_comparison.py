"""How a method predicted prompts that were left out in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._gaussian import Skill

Array = NDArray[np.float64]

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Record:
    """How one method predicted the left-out prompts.

    Attributes
    ----------
    skill
        Sums of squares by prompt: a few strong genes decide it.
    moments
        (6, G) noise-weighted sums by gene (weight, truth, prediction, and their squares and product): every gene counts
        the same in the correlations that follow.
    """

    skill: Skill
    moments: Array

    @property
    def correlation(self) -> Array:
        """(G,) correlation of truth and prediction over the left-out prompts; 0 for a constant prediction."""
        weight, t, p, tt, pp, tp = self.moments
        weight = np.maximum(weight, 1e-12)  # no left-out prompt had a count
        covariance = tp - t * p / weight
        spread = np.sqrt(np.maximum(tt - t**2 / weight, 0.0) * np.maximum(pp - p**2 / weight, 0.0))
        return np.where(spread > 1e-12 * weight, covariance / np.maximum(spread, 1e-300), 0.0)

    @property
    def scores(self) -> dict[str, float]:
        """Share of the squares explained, and mean correlation over genes."""
        total = float(self.skill.total.sum())
        explained = float(self.skill.explained.sum() / total) if total > 0 else 0.0
        return {"explained": explained, "correlation": float(self.correlation.mean())}

    def beats(self, other: Record, *, standard_errors: float = _STANDARD_ERRORS) -> bool:
        """Whether it is better by some standard errors both over prompts (squares) and over genes (correlations).

        Either alone misleads: squares follow a few strong genes, correlations the noise of many weak ones.
        """
        gain = self.correlation - other.correlation
        error = gain.std(ddof=1) / np.sqrt(gain.size) if gain.size > 1 else np.inf
        better = bool(gain.mean() > standard_errors * error)
        return better and self.skill.beats(other.skill, standard_errors=standard_errors)


def record(truth: Array, guess: Array, noise: Array) -> Record:
    """Record of one prediction (p, G) of the truth."""
    return Record(Skill.of(truth, guess, noise), _moments(truth, guess, 1.0 / noise))


def _moments(truth: Array, guess: Array, weight: Array) -> Array:
    ones = np.full(truth.shape[1], weight.sum())
    return np.stack(
        [ones, weight @ truth, weight @ guess, weight @ truth**2, weight @ guess**2, weight @ (truth * guess)]
    )


def join(records: Sequence[Record]) -> Record:
    """One record of several sets of prompts."""
    skill = Skill(
        np.concatenate([r.skill.cross for r in records]),
        np.concatenate([r.skill.power for r in records]),
        np.concatenate([r.skill.total for r in records]),
    )
    return Record(skill, np.sum([r.moments for r in records], axis=0))
