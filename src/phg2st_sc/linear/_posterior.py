"""What the prompts leave open: the kriging variance of every spot (Rasmussen & Williams 2006, equation 2.26)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .._evidence import Posterior
from ._draws import draw_fields
from ._gaussian import Covariance, System
from ._groups import groups
from ._judge import even_subset
from ._kernels import Places
from ._working import Working

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_MOST_TOGETHER = 600
"""Prompts up to which all of them say what is open at a spot; of more, those around it and some of the whole slide."""
_AROUND, _FAR = 400, 200
_SPOTS = 512


def posterior(
    places: Places,
    working: Working,
    covariance: Covariance,
    ratio: Array,
    *,
    vectors: Array | None = None,
    remainder_ratio: float = 0.0,
) -> Posterior | None:
    """Variance of whitened rates given the prompts; ``None`` where there are none.

    Parameters
    ----------
    places
        The spots of the slide.
    working
        Its prompts.
    covariance
        Its kernel counts.
    ratio
        (G,) ratio of signal to noise of every gene, or (k,) of every gene component.
    vectors
        (G, k) gene components; ``None`` where each gene is by itself.
    remainder_ratio
        Of what the components miss.
    """
    if not working.index.size:
        return None
    if vectors is None:
        ratios, which = np.unique(ratio, return_inverse=True)
        shares = np.zeros((ratios.size, which.size))
        shares[which, np.arange(which.size)] = 1.0
        shared = np.zeros(ratios.size, dtype=bool)
    else:
        ratios = np.append(ratio, remainder_ratio)
        missed = np.clip(1.0 - (vectors**2).sum(axis=1), 0.0, 1.0)
        shares = np.vstack([vectors.T, np.sqrt(missed)])
        shared = np.arange(ratios.size) < ratios.size - 1
    root = np.sqrt(ratios / working.depth)[:, None] * shares
    return _Open(places, working.index, working.noise, covariance, ratios, working.scale.spread).as_posterior(
        root, shared
    )


@dataclass(frozen=True, eq=False)
class _Open:
    """Shares of the variance that some prompts leave at the spots of a slide, by ratio of signal to noise."""

    places: Places
    index: Index
    noise: Array
    covariance: Covariance
    ratios: Array
    spread: Array | None

    def as_posterior(self, root: Array, shared: NDArray[np.bool_]) -> Posterior:
        def given(kept: Index) -> Posterior:
            return replace(self, index=self.index[kept], noise=self.noise[kept]).as_posterior(root, shared)

        def fields(numbers: Index, rng: np.random.Generator) -> Callable[[Index], list[Array]]:
            return draw_fields(self.places, self.index, self.noise, self.covariance.kernel, self.ratios, numbers, rng)

        known: list[tuple[Array, Array, Places]] = []

        def at(rows: Index) -> Array:
            if self.index.size > _MOST_TOGETHER:
                return self._by_place(rows)
            if not known:
                known.append(self._system(np.arange(self.index.size)))
            return self._left(rows, known[0])

        return Posterior(at, root, shared, given, fields, self.index, self.spread)

    def _by_place(self, rows: Index) -> Array:
        out = np.empty((rows.size, self.ratios.size))
        prompts, far = self.places.positions[self.index], even_subset(self.index.size, _FAR)
        for few in groups(self.places.positions[rows], _SPOTS):
            here = self.places.positions[rows[few]]
            outside = np.maximum(np.maximum(here.min(axis=0) - prompts, prompts - here.max(axis=0)), 0.0)
            near = np.argsort((outside**2).sum(axis=1), kind="stable")[:_AROUND]
            out[few] = self._left(rows[few], self._system(np.union1d(near, far)))
        return out

    def _system(self, which: Index) -> tuple[Array, Array, Places]:
        prompts = self.places[self.index[which]]
        system = System.of(self.covariance, prompts, self.noise[which], np.zeros((which.size, 1)))
        return system.vectors / system.root[:, None], system.values, prompts

    def _left(self, rows: Index, system: tuple[Array, Array, Places]) -> Array:
        turn, values, prompts = system
        gain = self.ratios / (np.outer(values, self.ratios) + 1.0)
        alone = self.covariance.signal(prompts[np.zeros(1, dtype=np.int64)], prompts[np.zeros(1, dtype=np.int64)])
        out = np.empty((rows.size, self.ratios.size))
        for start in range(0, rows.size, _SPOTS):
            some = rows[start : start + _SPOTS]
            known = (self.covariance.signal(self.places[some], prompts) @ turn) ** 2 @ gain
            out[start : start + _SPOTS] = np.clip(alone[0, 0] - known, 0.0, alone[0, 0])
        return out
