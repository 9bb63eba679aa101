"""Hyperedges of the spots that are nearest in space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._docs import documented
from ._base import Array, register_builder
from ._knn import NearestBuilder


@documented
@register_builder("position")
@dataclass(frozen=True)
class PositionKNN(NearestBuilder):
    """Nearest in space; distances in lattice pitches. Needs no image.

    Parameters
    ----------
    {n_neighbors:hyperedge} {exact_up_to}

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.graph import PositionKNN
    >>> positions = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0]])
    >>> PositionKNN(n_neighbors=2).build(positions).incidence.toarray().astype(bool).astype(int)
    array([[1, 1, 1, 0],
           [1, 1, 1, 1],
           [1, 1, 1, 1],
           [0, 0, 0, 1]])
    """

    metric: ClassVar[str] = "position distance in pitches"

    def terms(self, positions: NDArray[np.float64], features: NDArray[np.float32] | None) -> Sequence[Array]:
        """Positions as they are."""
        return [positions]
