"""Hyperedges of the spots that look most alike, wherever they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ._base import Array, register_builder
from ._knn import NearestBuilder


@register_builder("feature")
@dataclass(frozen=True)
class FeatureKNN(NearestBuilder):
    """Nearest by the Euclidean distance of features.

    Parameters
    ----------
    n_neighbors
        Spots in a hyperedge beside its own.
    exact_up_to
        Largest number of spots for which all pairs are compared.
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
