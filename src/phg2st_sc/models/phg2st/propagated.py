"""Image features propagated over the spot hypergraph: what a place looks like, and what surrounds it.

One propagation ``X' = D_v^-1 H W D_e^-1 H^T X`` averages features over the hyperedges that a spot belongs to. A single spot's
features hold much that has nothing to do with expression (focus, folds, where the crop happened to cut a cell); what
neighbours share has more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.spatial import cKDTree

from ..._arrays import SlideArrays
from ...graph import PositionKNN
from ...linear import NEIGHBOR_RADIUS, require_features, standardize

Array = NDArray[np.float64]

N_COMPONENTS = 40
N_NEIGHBORS = 8
"""Spots in a hyperedge beside its centre: the ring around it on a square lattice."""
SURROUNDINGS, BOTH, OWN = VIEWS = ("surroundings", "both", "own")
"""What may be looked at: the propagated features, the spot's own, or both."""
_WEIGHT = 1.5
"""Of propagated features beside those of the spot itself."""


def spot_incidence(slide: SlideArrays) -> sparse.csr_matrix:
    """Hypergraph of a slide: the one that comes with it, else every spot with its nearest ones."""
    if slide.incidence is not None:
        return slide.incidence
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


def propagated_features(slide: SlideArrays, method: str, view: str = BOTH) -> Array:
    """Standardised features (n, d) of the surroundings of every spot, of the spot itself, or (n, 2d) of both."""
    own = standardize(require_features(slide, method))
    if view == OWN:
        return own
    around = propagate(spot_incidence(slide), own)
    return around if view == SURROUNDINGS else np.hstack([own, _WEIGHT * around])


def propagated_components(slide: SlideArrays, method: str) -> Array:
    """(n, k) leading components of the features of spots and surroundings, each by how alike neighbours are in it.

    A component that jumps from spot to spot is texture below the resolution of the spots, or noise; expression varies more
    slowly. The image of the whole slide is known before anything is measured, so no prompt enters.
    """
    both = propagated_features(slide, method)
    both -= both.mean(axis=0)
    _, vectors = np.linalg.eigh(both.T @ both)
    components = both @ vectors[:, ::-1][:, : min(N_COMPONENTS, slide.n_spots)]
    return components * autocorrelation(slide.positions, components)


def autocorrelation(positions: Array, components: Array) -> Array:
    """(k,) correlation of neighbouring spots in centred components, between 0 and 1; 1 where no spot has a neighbour."""
    pairs = cKDTree(positions).query_pairs(NEIGHBOR_RADIUS, output_type="ndarray")
    if not len(pairs):
        return np.ones(components.shape[1])
    together = (components[pairs[:, 0]] * components[pairs[:, 1]]).mean(axis=0)
    return np.asarray(np.clip(together / np.maximum(components.var(axis=0), 1e-12), 0.0, 1.0))
