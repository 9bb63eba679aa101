"""Hyperedges of the spots that are nearest in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ._base import Array, register_builder
from ._knn import NearestBuilder


@register_builder("position")
@dataclass(frozen=True)
class PositionKNN(NearestBuilder):
    """Nearest in space; distances in lattice pitches. Needs no image.

    Parameters
    ----------
    n_neighbors
        Spots in a hyperedge beside its own.
    exact_up_to
        Largest number of spots for which all pairs are compared.
    """

    metric: ClassVar[str] = "position distance in pitches"

    def terms(self, positions: NDArray[np.float64], features: NDArray[np.float32] | None) -> Sequence[Array]:
        """Positions as they are."""
        return [positions]
