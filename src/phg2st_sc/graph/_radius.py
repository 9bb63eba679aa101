"""Hyperedges of all spots within a distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .._checks import is_positive
from .._docs import documented
from ._base import Array, HypergraphBuilder, check_positions, register_builder
from ._hypergraph import Hypergraph, from_members

_TOLERANCE = 1e-6


@documented
@register_builder("radius")
@dataclass(frozen=True)
class Radius(HypergraphBuilder):
    """Every spot opens one hyperedge: all spots within ``radius`` lattice pitches, and itself.

    Parameters
    ----------
    {radius}
        1.5 takes the 8 neighbours of a square lattice, 1.1 the 6 of a hexagonal one.

    Raises
    ------
    ValueError
        If ``radius`` is no finite number above 0.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.graph import Radius
    >>> Radius(1.0).build(np.array([[0.0, 0], [1, 0], [9, 0]])).incidence.toarray().astype(bool).astype(int)
    array([[1, 1, 0],
           [1, 1, 0],
           [0, 0, 1]])
    """

    metric: ClassVar[str] = "position distance in pitches"
    radius: float = 1.5

    def __post_init__(self) -> None:
        if not is_positive(self.radius):
            msg = f"`radius` must be a number of pitches above 0, got {self.radius!r}."
            raise ValueError(msg)

    def build(self, positions: Array, features: Array | None = None) -> Hypergraph:
        """Build the hypergraph of one slide; features play no part."""
        from scipy.spatial import cKDTree

        where = check_positions(positions)
        pairs = cKDTree(where).query_pairs(self.radius * (1.0 + _TOLERANCE), output_type="ndarray").astype(np.int64)
        centers, members = np.concatenate([pairs, pairs[:, ::-1]]).T
        lengths = np.linalg.norm(where[centers] - where[members], axis=1)
        found = from_members(centers, members, lengths, len(where))
        return Hypergraph(*found, {**self.describe(), "search": "tree", "recall": 1.0})
