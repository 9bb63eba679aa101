"""Hyperedges of the spots that look most alike, wherever they are."""

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
@register_builder("feature")
@dataclass(frozen=True)
class FeatureKNN(NearestBuilder):
    """Nearest by the Euclidean distance of features.

    Parameters
    ----------
    {n_neighbors:hyperedge} {exact_up_to}

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.graph import FeatureKNN
    >>> positions = np.array([[0.0, 0], [1, 0], [2, 0], [9, 0]])
    >>> features = np.array([[0.0], [9], [1], [8]])
    >>> FeatureKNN(n_neighbors=1).build(positions, features).incidence.toarray().astype(bool).astype(int)
    array([[1, 0, 1, 0],
           [0, 1, 0, 1],
           [1, 0, 1, 0],
           [0, 1, 0, 1]])
    """

    metric: ClassVar[str] = "feature distance"
    uses_features: ClassVar[bool] = True
    needs_features: ClassVar[bool] = True

    def terms(self, positions: NDArray[np.float64], features: NDArray[np.float32] | None) -> Sequence[Array]:
        """Features as they are."""
        if features is None:
            msg = "FeatureKNN needs features: pass them, or take PositionKNN."
            raise ValueError(msg)
        return [features]
