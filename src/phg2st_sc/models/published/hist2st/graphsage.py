"""Graph of the nearest spots, and the convolution over it of GraphSAGE with mean aggregation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ....graph import canonical_order, nearest_spots

_ROUNDING = 1e-4


def neighbor_graph(positions: Tensor, *, n_neighbors: int, radius: float) -> dict[str, Tensor]:
    """Nearest spots of each spot, itself left out, within a radius; a spot without any has itself.

    Parameters
    ----------
    positions
        (n, 2) spot centres.
    n_neighbors
        Neighbours of a spot at most.
    radius
        Largest distance of a neighbour, in the unit of the positions.

    Returns
    -------
    ``neighbors``: (n, k) int64. ``neighbor_weights``: (n, k) float32, each row adds up to 1; 0 where there is no neighbour.
    """
    places = positions.cpu().numpy().astype(np.float64)
    order = canonical_order(places, None)
    found = nearest_spots([places[order]], n_neighbors)
    near = found.distance <= radius + _ROUNDING
    near = np.column_stack([near, ~near.any(axis=1)])
    index, weights = np.empty(near.shape, np.int64), np.empty(near.shape, np.float32)
    index[order] = np.column_stack([order[found.index], order])
    weights[order] = near / near.sum(axis=1, keepdims=True)
    return {"neighbors": torch.from_numpy(index), "neighbor_weights": torch.from_numpy(weights)}


class GraphSAGE(nn.Module):
    """x' = ReLU(W x̄) with the mean x̄ over the neighbours of a spot, scaled to length 1.

    Parameters
    ----------
    width
        Of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, neighbors: Tensor, weights: Tensor) -> Tensor:
        """(n, width) from (n, width) tokens and a graph as :func:`neighbor_graph` makes it."""
        mean = torch.einsum("nk,nkd->nd", weights.to(x.dtype), x[neighbors])
        return normalize(torch.relu(self.linear(mean)), dim=1)
