"""The spot hypergraph of the paper: near in space and alike in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .._docs import documented
from ._base import Array, register_builder
from ._knn import NearestBuilder, normalized


@documented
@register_builder("combined")
@dataclass(frozen=True)
class CombinedKNN(NearestBuilder):
    """Nearest under the sum of the distances in space and between features, each divided by its root mean square.

    The distance of two spots is I = P / rms(P) + S / rms(S), with P the distance of their centres and S that of their
    features. Each spot opens one hyperedge with its ``n_neighbors`` nearest and itself; a member weighs
    exp(-I / median of I), the spot itself 1. Without features, I is the first term alone. Equal distances go by
    coordinates, so that the order of the spots plays no part.

    Parameters
    ----------
    {n_neighbors:hyperedge} {exact_up_to}

    References
    ----------
    The construction of PHG2ST (arXiv 2503.16816), section on the spot hypergraph; the normalisation is ours.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.graph import CombinedKNN
    >>> positions = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    >>> features = np.array([[0.0], [9], [0], [9]])
    >>> CombinedKNN(n_neighbors=1).build(positions, features).incidence.toarray().astype(bool).astype(int)
    array([[1, 0, 1, 0],
           [0, 1, 0, 1],
           [1, 0, 1, 0],
           [0, 1, 0, 1]])
    """

    metric: ClassVar[str] = "rms-normalised position + feature distance"
    uses_features: ClassVar[bool] = True

    def terms(self, positions: NDArray[np.float64], features: NDArray[np.float32] | None) -> Sequence[Array]:
        """Both, normalised."""
        return [normalized(values) for values in (positions, features) if values is not None]
