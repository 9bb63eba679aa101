"""Shared by the builders in which every spot opens a hyperedge with its nearest spots."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_of_each
from ._base import Array, HypergraphBuilder, check_features, check_neighbors, check_positions
from ._hypergraph import Hypergraph, from_members
from ._nearest import EXACT_UP_TO, LEAST_RECALL, Nearest, canonical_order, nearest_spots, rms_distance


@dataclass(frozen=True)
class NearestBuilder(HypergraphBuilder):
    """Every spot opens one hyperedge: its nearest spots and itself."""

    n_neighbors: int = 4
    exact_up_to: int = EXACT_UP_TO

    def __post_init__(self) -> None:
        check_neighbors(self.n_neighbors)

    @abstractmethod
    def terms(self, positions: NDArray[np.float64], features: NDArray[np.float32] | None) -> Sequence[Array]:
        """Arrays whose Euclidean distances add up to the distance of two spots."""

    def build(self, positions: Array, features: Array | None = None) -> Hypergraph:
        """Build the hypergraph of one slide.

        Parameters
        ----------
        positions
            (n, 2) spot centres in lattice pitches.
        features
            (n, d) features of the spots, or ``None``.
        """
        where = check_positions(positions)
        what = check_features(features, len(where)) if self.uses_features else None
        order = canonical_order(where, what)
        found = nearest_spots(
            self.terms(where[order], None if what is None else what[order]),
            self.n_neighbors,
            exact_up_to=self.exact_up_to,
        )
        centers = np.repeat(order, found.index.shape[1])
        incidence, distances = from_members(
            centers, order[found.index.ravel()], found.distance.ravel(), n_spots=len(where)
        )
        _warn_of_missed(self.name, found)
        search = {"search": found.search, "recall": found.recall, "with_features": what is not None}
        return Hypergraph(incidence, distances, {**self.describe(), **search})


def _warn_of_missed(builder: str, found: Nearest) -> None:
    if found.recall >= LEAST_RECALL:
        return
    n_spots = len(found.index)
    advice = (
        "The features differ in too many ways for a search by index: hand in fewer principal components of them, or compare "
        f"all pairs with the builder's `exact_up_to={n_spots}`, which takes the square of the spots in time."
    )
    warn_of_each(
        f"Of the nearest spots, builder={builder!r} found {found.recall:.1%} on a slide of {n_spots} spots. {advice}",
        each=f"{found.recall:.1%} of {n_spots} spots",
        several=f"builder={builder!r} missed some of the nearest spots; found were {{which}}. {advice}",
    )


def normalized(values: Array) -> NDArray[np.float64]:
    """Divide by the root mean square distance of all pairs; constant values become 0."""
    scale = rms_distance(values)
    return np.asarray(values, dtype=np.float64) / scale if scale > 0 else np.zeros(values.shape)
