"""How well a covariance predicts the prompts of a slide, each left out in turn."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ._comparison import Record, record
from ._gaussian import Covariance, System
from ._groups import groups, surrounding
from ._kernels import Kernel, Places
from ._working import Working

Array = NDArray[np.float64]

MAX_JUDGED = 400
"""Prompts used to choose a covariance and the amplitude: an even subset when there are more."""
_MOST_TOGETHER = 700
"""Prompts up to which all are left out where columns are few."""
_GROUPS, _IN_A_GROUP, _AROUND, _FAR = 4, 75, 60, 150
"""Of more, some groups are left out, each with prompts around it, and some of the whole slide are kept."""
MAX_COLUMNS = 1000
"""Columns that length scales are followed on."""


@dataclass(eq=False)
class Judge:
    """Record of leave-one-out predictions beyond the leave-one-out level, under one covariance after another.

    Attributes
    ----------
    turned
        Judge of the same squares on fewer columns, which are sums of genes and no genes: their correlations mean nothing.
    """

    prompts: Places
    noise: Array
    columns: Array
    level: Array
    signal: Array | float
    turned: Judge | None = None
    systems: dict[Kernel, System] = field(default_factory=dict)

    @classmethod
    def of(cls, places: Places, working: Working, columns: Array, level: Array, signal: Array | float) -> Judge:
        """Judge of the prompts of ``working``; ``columns``, ``level`` and ``signal`` as in :func:`choose`."""
        keep = even_subset(working.index.size, MAX_JUDGED)
        prompts, noise, turned = places[working.index[keep]], working.noise[keep], None
        if np.ndim(signal) == 0 and columns.shape[1] > columns.shape[0]:
            # Skill sums over columns that are all treated alike, so they may be turned into as many as there are prompts
            axes = np.linalg.qr(columns.T)[0]
            turned = cls(prompts, noise, (columns @ axes)[keep], (level @ axes)[keep], signal)
        return cls(prompts, noise, columns[keep], level[keep], signal, turned)

    @property
    def of_squares(self) -> Judge:
        """The quickest judge of squares; of correlations only where columns were not turned."""
        return self.turned or self

    def of_the_strongest(self) -> Judge:
        """Judge of the columns that vary most, where there are very many: enough to tell length scales apart."""
        n_columns = self.columns.shape[1]
        if n_columns <= MAX_COLUMNS:
            return self
        power = (self.columns**2 / self.noise[:, None]).sum(axis=0)
        kept = np.sort(np.argsort(-power, kind="stable")[:MAX_COLUMNS])
        signal = np.broadcast_to(self.signal, n_columns)[kept]
        return Judge(self.prompts, self.noise, self.columns[:, kept], self.level[:, kept], signal, self.turned)

    def __call__(self, covariance: Covariance) -> Record:
        """How the prompts are predicted under a covariance."""
        predicted = self._system(covariance).leave_one_out(self._ratio(covariance))
        return record(self.columns - self.level, predicted - self.level, self.noise)

    def about_the_others(self, covariance: Covariance) -> Record:
        """The same about the level of the others alone.

        Columns are about a level in which the prompt that is left out has its part. What reaches least from spot to spot
        returns to that level, and would seem to know the prompt: kernels of other reach cannot be compared so.
        """
        system, ratio = self._system(covariance), self._ratio(covariance)
        predicted = system.leave_one_out(ratio) - self.level * system.leave_one_out_reach(ratio)
        return record(self.columns - self.level, predicted, self.noise)

    def _ratio(self, covariance: Covariance) -> Array:
        return covariance.ratio * np.atleast_1d(self.signal)

    def _system(self, covariance: Covariance) -> System:
        if covariance.kernel not in self.systems:
            self.systems[covariance.kernel] = System.of(covariance, self.prompts, self.noise, self.columns)
        return self.systems[covariance.kernel]


def even_subset(n: int, limit: int) -> NDArray[np.int64]:
    """At most ``limit`` of n positions, evenly spread."""
    return np.arange(n) if n <= limit else np.unique(np.linspace(0, n - 1, limit).astype(np.int64))


def neighborhoods(positions: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of prompts (p, 2) those to judge covariances by, and which of these count when they are left out.

    An even subset of very many lies farther apart than they do, and asks for longer length scales. Here prompts that count
    have all their neighbors.
    """
    n_prompts = len(positions)
    if n_prompts <= _MOST_TOGETHER:
        return np.arange(n_prompts), np.arange(n_prompts)
    every = groups(positions, _IN_A_GROUP)
    chosen = [every[number] for number in even_subset(len(every), _GROUPS)]
    near = [surrounding(positions, group, group.size + _AROUND) for group in chosen]
    kept = np.unique(np.concatenate([*near, even_subset(n_prompts, _FAR)]))
    return kept, np.searchsorted(kept, np.sort(np.concatenate(chosen)))
