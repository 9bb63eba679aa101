"""Image features propagated over the spot hypergraph: what a place looks like, and what surrounds it.

One propagation ``X' = D_v^-1 H W D_e^-1 H^T X`` averages features over the hyperedges that a spot belongs to. A single spot's
features hold much that has nothing to do with expression (focus, folds, where the crop happened to cut a cell); what
neighbours share has more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from ..._arrays import SlideArrays
from ...graph import PositionKNN
from ...linear import NEIGHBOR_RADIUS, Rows, Standardized, feature_blocks, map_rows, standardized_features, sum_of

Array = NDArray[np.float64]

N_COMPONENTS = 40
N_NEIGHBORS = 8
"""Spots in a hyperedge beside its centre: the ring around it on a square lattice."""
SURROUNDINGS, BOTH, OWN = VIEWS = ("surroundings", "both", "own")
"""What may be looked at: the propagated features, the spot's own, or both."""
_MAX_SPOTS = 20_000
"""That the directions of the components are found from."""
_FEW_SPOTS = 4096
_FEW_FEATURES = 64
"""That are propagated at a time."""
_FEW_PAIRS = 1 << 16

_hypergraphs: WeakKeyDictionary[SlideArrays, sparse.csr_matrix] = WeakKeyDictionary()
"""Of slides that came without one: a slide is looked at more than once, in training and before it is predicted."""


def spot_incidence(slide: SlideArrays) -> sparse.csr_matrix:
    """Hypergraph of a slide: the one that comes with it, else every spot with its nearest ones."""
    if slide.incidence is not None:
        return slide.incidence
    if slide not in _hypergraphs:
        _hypergraphs[slide] = _nearest_ones(slide)
    return _hypergraphs[slide]


def _nearest_ones(slide: SlideArrays) -> sparse.csr_matrix:
    n_neighbors = min(N_NEIGHBORS, slide.n_spots - 1)
    if n_neighbors < 1:
        return sparse.csr_matrix(np.ones((1, 1)))
    return PositionKNN(n_neighbors=n_neighbors).build(slide.positions).incidence


def propagate(incidence: sparse.csr_matrix, values: Array) -> Array:
    """D_v^-1 H D_e^-1 H^T X of (n, d) values; a spot in no hyperedge keeps its own."""
    weights = sparse.csr_matrix(incidence, dtype=np.float64)
    edge_sizes = np.asarray(weights.sum(axis=0)).ravel()
    spot_degrees = np.asarray(weights.sum(axis=1)).ravel()
    edges = np.asarray(weights.T @ values) / np.where(edge_sizes > 0, edge_sizes, 1.0)[:, None]
    spots = np.asarray(weights @ edges) / np.where(spot_degrees > 0, spot_degrees, 1.0)[:, None]
    return np.where(spot_degrees[:, None] > 0, spots, values)


@dataclass(frozen=True, eq=False)
class Looks:
    """What the spots of a slide look like, and what surrounds them.

    Attributes
    ----------
    slide
        A slide with features.
    method
        Name for messages.
    """

    slide: SlideArrays
    method: str

    @cached_property
    def own(self) -> Standardized:
        """(n, d) standardised features."""
        return standardized_features(self.slide, self.method)

    @cached_property
    def around(self) -> NDArray[np.float32]:
        """(n, d) features propagated over the hypergraph."""
        out = np.empty(self.own.shape, dtype=np.float32)
        incidence = spot_incidence(self.slide)
        for start in range(0, out.shape[1], _FEW_FEATURES):
            few = slice(start, start + _FEW_FEATURES)
            out[:, few] = propagate(incidence, self.own.columns(few))
        return out

    def of(self, view: str) -> Rows:
        """Features (n, d) of the surroundings of every spot, of the spot itself, or (n, 2d) of both."""
        if view == OWN:
            return self.own
        return self.around if view == SURROUNDINGS else _SideBySide(self.own, self.around)

    def standardized(self, view: str) -> Standardized:
        """The same over the slide, blocks of columns of several encoders with the same say."""
        return Standardized.of(self.of(view), feature_blocks(self.slide) * (2 if view == BOTH else 1))


@dataclass(frozen=True, eq=False)
class _SideBySide:
    own: Standardized
    around: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.own.shape[0], 2 * self.own.shape[1]

    def __getitem__(self, rows: Any) -> Array:
        return np.hstack([self.own[rows], self.around[rows]])


def propagated_components(looks: Looks) -> Array:
    """(n, k) leading components of the features of spots and surroundings, each by how alike neighbours are in it.

    What jumps from spot to spot is texture below the resolution of the spots, or noise; expression varies more slowly. Where
    neighbours correlate by r, the slow part of a component has sqrt(r) of its spread. Spots and surroundings count the
    same: more weight to what surrounds a spot makes smoother maps, which follow single spots less. The image of the whole
    slide is known before anything is measured, so no prompt enters.
    """
    both = _SideBySide(looks.own, looks.around)
    mean = sum_of(both, lambda block: block.sum(axis=0)) / looks.slide.n_spots
    few = min(N_COMPONENTS, looks.slide.n_spots)
    components = _of_spots(both, mean, few) if looks.slide.n_spots < mean.size else _of_features(both, mean, few)
    return components * np.sqrt(autocorrelation(looks.slide.positions, components))


def _of_spots(values: Rows, mean: Array, few: int) -> Array:
    """Components from the products of the spots, which are fewer than the features: the same up to rounding and signs, in less time."""
    centered = np.asarray(values[:]) - mean
    squares, vectors = np.linalg.eigh(centered @ centered.T)
    return np.asarray(vectors[:, ::-1][:, :few] * np.sqrt(np.maximum(squares[::-1][:few], 0.0)))


def _of_features(values: Rows, mean: Array, few: int) -> Array:
    _, vectors = np.linalg.eigh(_gram(values, mean))
    kept = vectors[:, ::-1][:, :few]
    return map_rows(values, lambda block: (block - mean) @ kept, kept.shape[1])


def _gram(values: Rows, mean: Array) -> Array:
    """(F, F) products of the values about their mean, of some spots where there are many."""
    n = values.shape[0]
    drawn = np.random.default_rng(0).choice(n, _MAX_SPOTS, replace=False) if n > _MAX_SPOTS else np.arange(n)
    drawn.sort()
    gram = np.zeros((mean.size, mean.size))
    for start in range(0, drawn.size, _FEW_SPOTS):
        few = values[drawn[start : start + _FEW_SPOTS]] - mean
        gram += few.T @ few
    return gram


def autocorrelation(positions: Array, components: Array) -> Array:
    """(k,) correlation of neighbouring spots in centred components, between 0 and 1; 1 where no spot has a neighbour."""
    pairs = cKDTree(positions).query_pairs(NEIGHBOR_RADIUS, output_type="ndarray")
    if not len(pairs):
        return np.ones(components.shape[1])
    few = (pairs[start : start + _FEW_PAIRS] for start in range(0, len(pairs), _FEW_PAIRS))
    together = sum((components[one[:, 0]] * components[one[:, 1]]).sum(axis=0) for one in few) / len(pairs)
    return np.asarray(np.clip(together / np.maximum(components.var(axis=0), 1e-12), 0.0, 1.0))
