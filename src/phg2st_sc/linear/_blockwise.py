"""Kriging from more prompts than one system can hold: the whole slide in features, and blocks of it exactly.

The covariance is split into a smooth part of low rank, known by its :class:`~._inducing.Inducing` places, and what that
leaves, which is kept within blocks of prompts that lie together (Snelson & Ghahramani 2007, "partially independent
conditional"; Sang & Huang 2012, "full-scale approximation"). All prompts of the slide decide together on the smooth part;
about it, every spot is predicted by the block of its nearest prompt and the prompts around that block, so that there is
no seam between blocks. Time and memory grow as the number of prompts does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import cKDTree

from .._progress import part
from ._field import Field
from ._gaussian import Covariance, System
from ._groups import groups, surrounding
from ._inducing import Inducing
from ._kernels import Places

Array = NDArray[np.float64]
Index = NDArray[np.int64]

BLOCK = 512
"""Prompts of a block."""
AROUND = 512
"""Prompts around a block that have a say in what is predicted in it."""
_FEW = 512
"""Columns up to which every block keeps a smooth part of its own: of more, that is much memory, and little work each time."""


def krige_blockwise(
    places: Places, index: Index, noise: Array, columns: Array, covariance: Covariance, ratio: Array
) -> Field:
    """Best linear prediction of columns known at many prompts; parameters as in :func:`~._krige.krige_columns`.

    Parameters
    ----------
    ratio
        (C,) ratio of every column.
    """
    prompts = places[index]
    problem = _Problem(prompts, noise, columns, covariance, ratio, Inducing.of(covariance.kernel, prompts))
    blocks = groups(prompts.positions, BLOCK)
    smooth = problem.smooth(blocks)
    missed = problem.missed(smooth, blocks)
    near = [surrounding(prompts.positions, block, BLOCK + AROUND) for block in blocks]
    shared = _Shared(covariance, prompts, problem.inducing.at(prompts).astype(np.float32), smooth.astype(np.float32))
    experts = [problem.expert(smooth, missed, one) for one in part(near, desc="kriging", unit="block")]
    owner = np.empty(index.size, dtype=np.int64)
    for number, block in enumerate(blocks):
        owner[block] = number
    responsible = owner[cKDTree(prompts.positions).query(places.positions)[1]]

    def at(rows: slice) -> Array:
        targets, chosen = places[np.arange(places.n)[rows]], responsible[rows]
        features = problem.inducing.at(targets).astype(np.float32)
        out = np.empty((targets.n, columns.shape[1]))
        for number in np.unique(chosen):
            here = np.flatnonzero(chosen == number)
            out[here] = shared.predict(experts[number], targets[here], features[here])
        return out

    return Field(places.n, columns.shape[1], at)


@dataclass(frozen=True, eq=False)
class _Expert:
    """What one block knows, in single precision: weights (b, C) of its prompts, and its own (m, C) smooth part of few columns."""

    near: Index
    weights: NDArray[np.float32]
    smooth: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class _Shared:
    """What all blocks know: features (p, m) of the prompts and coefficients (m, C) of the smooth part, in single precision."""

    covariance: Covariance
    prompts: Places
    features: NDArray[np.float32]
    smooth: NDArray[np.float32]

    def predict(self, expert: _Expert, targets: Places, features: NDArray[np.float32]) -> NDArray[np.float32]:
        towards = self.covariance.signal(targets, self.prompts[expert.near]).astype(np.float32)
        if expert.smooth is not None:
            return features @ expert.smooth + towards @ expert.weights
        towards -= features @ self.features[expert.near].T
        return features @ self.smooth + towards @ expert.weights


@dataclass(frozen=True, eq=False)
class _Problem:
    prompts: Places
    noise: Array
    columns: Array
    covariance: Covariance
    ratio: Array
    inducing: Inducing

    def smooth(self, blocks: list[Index]) -> Array:
        """(m, C) coefficients of the smooth part, by all prompts, with what it leaves kept within blocks."""
        ratios, which = np.unique(self.ratio, return_inverse=True)
        width = self.inducing.width
        information = np.zeros((ratios.size, width, width))
        pull = np.zeros((width, self.columns.shape[1]))
        for block in part(blocks, desc="smooth part", unit="block"):
            features = self.inducing.at(self.prompts[block])
            system = self._system(block, features, self.columns)
            turned = system.vectors.T @ (features / system.root[:, None])
            for number, ratio in enumerate(ratios):
                information[number] += turned.T @ (turned / (ratio * system.values + 1.0)[:, None])
            pull += turned.T @ (system.rotated / (np.outer(system.values, self.ratio) + 1.0))
        out, diagonal = np.empty_like(pull), np.arange(width)
        for number, ratio in enumerate(ratios):
            information[number][diagonal, diagonal] += 1.0 / ratio
            same = which == number
            out[:, same] = cho_solve(cho_factor(information[number], check_finite=False), pull[:, same])
        return out

    def missed(self, smooth: Array, blocks: list[Index]) -> Array:
        """(p, C) what the smooth part does not explain of the columns."""
        out = np.empty_like(self.columns)
        for block in blocks:
            out[block] = self.columns[block] - self.inducing.at(self.prompts[block]) @ smooth
        return out

    def expert(self, smooth: Array, missed: Array, near: Index) -> _Expert:
        """Exact kriging by some prompts of what the smooth part missed."""
        features = self.inducing.at(self.prompts[near])
        weights = self._system(near, features, missed).weights(self.ratio)
        own = (smooth - features.T @ weights).astype(np.float32) if self.ratio.size <= _FEW else None
        return _Expert(near, weights.astype(np.float32), own)

    def _system(self, rows: Index, features: Array, columns: Array) -> System:
        prompts = self.prompts[rows]
        left = self.covariance.signal(prompts, prompts) - features @ features.T
        return System.under(left, self.noise[rows], columns[rows])
