"""Spots whose measurement leaves least open over the tissue: one after the other, each given those before it.

A measurement of spot s takes ``cov(t, s)^2 / (var(s) + noise(s))`` off the variance at target t. Its sum over targets is the
gain of active learning after Cohn (1996), and the greedy form of an A-optimal design. It needs no measurement, only
where the spots lie, what they look like and how deep they may be. The signal is taken about its mean over the targets: a
map that is wrong by the same amount everywhere is no worse as a map.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._progress import part
from ._survey import ConditionalCovariance, Index, Seen, Survey, about_mean

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Spots to measure.

    Attributes
    ----------
    spots
        (n,) in the order of the choice.
    gains
        (n,) variance that each takes off, as a mean over the targets.
    before
        Mean variance at the targets, about their mean, before any of them is measured.
    """

    spots: Index
    gains: Array
    before: float

    @property
    def after(self) -> float:
        """Mean variance at the targets once all of them are measured."""
        return self.before - float(self.gains.sum())


def greedy_spots(survey: Survey, n: int, candidates: Index, targets: Index) -> Chosen:
    """Choose n of the candidates for the sake of the targets.

    The covariance of targets with candidates is held once and never changed: what chosen spots take off it is kept as one
    vector each, so that a choice costs one product of that matrix with a vector.
    """
    state = _State.of(survey.posterior(), n, candidates, targets)
    gains = np.empty(n)
    order = np.empty(n, dtype=np.int64)
    for number in part(range(n), desc="choose", unit="spot"):
        order[number], gains[number] = state.choose(number)
    return Chosen(candidates[order], gains / targets.size, state.before)


def open_variance(posterior: ConditionalCovariance, wanted: Seen) -> float:
    """Mean variance of what the targets have beyond their mean."""
    return float(posterior.variance(wanted).mean() - posterior.between(wanted, wanted).mean())


@dataclass(eq=False)
class _State:
    cross: Array
    among: Array
    variance: Array
    squares: Array
    free: NDArray[np.bool_]
    at_targets: Array
    at_candidates: Array
    noise: Array
    before: float

    @classmethod
    def of(cls, posterior: ConditionalCovariance, n: int, candidates: Index, targets: Index) -> _State:
        seen, wanted = posterior.see(candidates), posterior.see(targets)
        cross = about_mean(posterior.between(wanted, seen))
        return cls(
            cross=cross,
            among=posterior.between(seen, seen),
            variance=posterior.variance(seen),
            squares=np.einsum("tc,tc->c", cross, cross),
            free=np.ones(candidates.size, dtype=bool),
            at_targets=np.empty((n, targets.size)),
            at_candidates=np.empty((n, candidates.size)),
            noise=posterior.survey.to_come(candidates),
            before=open_variance(posterior, wanted),
        )

    def choose(self, number: int) -> tuple[int, float]:
        """The next candidate by its number, and what it takes off over all targets."""
        gain = np.where(self.free, self.squares / (self.variance + self.noise), -np.inf)
        best = int(gain.argmax())
        self.free[best] = False
        earlier = self.at_candidates[:number]
        here, root = earlier[:, best], np.sqrt(self.variance[best] + self.noise[best])
        towards = (self.cross[:, best] - here @ self.at_targets[:number]) / root
        across = (self.among[:, best] - here @ earlier) / root
        shared = towards @ self.cross - (self.at_targets[:number] @ towards) @ earlier
        self.squares += across * (across * (towards @ towards) - 2.0 * shared)
        self.variance -= across**2
        self.at_targets[number], self.at_candidates[number] = towards, across
        return best, float(gain[best])
