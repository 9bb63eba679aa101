"""Image features of spots and of their surroundings: all at once on small slides, made for some spots at a time on large ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from ....linear import groups
from ..propagated import propagate

Array = NDArray[np.float64]

_LARGEST = 5.0
"""Inputs are clipped at so many standard deviations."""
_HELD = 1 << 26
"""Values, 256 MB, that are held of a slide; of more, those of some spots are made when they are asked for."""
_COLUMNS_VALUES = 1 << 22
"""Of the features of all spots that are worked on at a time: 32 MB in double precision."""
_SPOTS = 2048
"""That are made at a time; they lie together, so that there are few others around them."""


@dataclass(frozen=True, eq=False)
class Views:
    """(n, 2 F) standardised features of spots and of their surroundings, made for the spots that are asked for.

    Attributes
    ----------
    features
        (n, F) as they are.
    incidence, members
        Hypergraph of the spots, and its transpose.
    own, around
        (2, F) means and spreads over the slide of features, and of standardised features that were propagated.
    together
        All spots, in groups that lie together.
    """

    features: NDArray[Any]
    incidence: sparse.csr_matrix
    members: sparse.csr_matrix
    own: Array
    around: Array
    together: Sequence[NDArray[np.int64]]

    @classmethod
    def of(cls, features: NDArray[Any], incidence: sparse.csr_matrix, positions: Array) -> Views:
        """Measure a slide, a few features at a time."""
        n, width = features.shape
        own, around = np.empty((2, width)), np.empty((2, width))
        for few in _few_columns(n, width):
            values = np.asarray(features[:, few], dtype=np.float64)
            own[:, few] = _moments(values)
            around[:, few] = _moments(propagate(incidence, _standardized(values, own[:, few])))
        return cls(features, incidence, sparse.csr_matrix(incidence.T), own, around, groups(positions, _SPOTS))

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(r, 2 F) float32 of some spots, by number, on the CPU."""
        index = rows.cpu().numpy()
        edges = np.unique(self.incidence[index].indices)
        near = np.union1d(self.members[edges].indices, index)  # all that share a hyperedge with one of them
        values = _standardized(np.asarray(self.features[near], dtype=np.float64), self.own)
        around = propagate(self.incidence[near][:, edges], values)
        here = np.searchsorted(near, index)
        return _float32(np.hstack([values[here], _standardized(around[here], self.around)]))

    def map(self, of: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
        """(n, d) what is made of the features of every spot, on a device."""
        made = torch.cat([of(self[torch.from_numpy(index)].to(device)) for index in self.together])
        return made[torch.from_numpy(np.argsort(np.concatenate(self.together))).to(device)]


def views_of(features: NDArray[Any], incidence: sparse.csr_matrix, positions: Array) -> Tensor | Views:
    """Features of spots and surroundings, held where they are not too many."""
    n, width = features.shape
    if 2 * n * width > _HELD:
        return Views.of(features, incidence, positions)
    out = np.empty((n, 2 * width), dtype=np.float32)
    for few in _few_columns(n, width):
        values = np.asarray(features[:, few], dtype=np.float64)
        out[:, few] = values = _standardized(values, _moments(values))
        around = propagate(incidence, values)
        out[:, width + few.start : width + few.stop] = _standardized(around, _moments(around))
    return torch.from_numpy(out)


def _few_columns(n: int, width: int) -> list[slice]:
    step = max(1, _COLUMNS_VALUES // max(n, 1))
    return [slice(start, min(start + step, width)) for start in range(0, width, step)]


def _moments(values: Array) -> Array:
    """(2, f) means, and spreads that are 1 for constants."""
    spread = values.std(axis=0)
    return np.stack([values.mean(axis=0), np.where(spread > 1e-6, spread, 1.0)])


def _standardized(values: Array, moments: Array) -> Array:
    """Zero mean and unit variance over the slide: stain and scanner go out here."""
    return np.clip((values - moments[0]) / moments[1], -_LARGEST, _LARGEST)


def _float32(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
