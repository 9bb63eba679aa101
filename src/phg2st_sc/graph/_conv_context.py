"""The small hypergraphs of the tiles around each spot, as one batch of dense operators."""

from __future__ import annotations

import torch

from .._docs import documented
from ._base import check_neighbors


@torch.no_grad()
@documented
def context_operator(features: torch.Tensor, mask: torch.Tensor | None = None, n_neighbors: int = 4) -> torch.Tensor:
    """Return D_v^-1 H D_e^-1 H^T of every block of tiles, so that the convolution is ``torch.bmm(operator, x)``.

    Every tile opens a hyperedge with its nearest tiles by Euclidean distance of features within the block, and itself. A
    member weighs exp(-distance / median distance over the block's hyperedges), the tile itself 1. Of equally near tiles
    the first is taken.

    Parameters
    ----------
    features
        (n, t, d) features of t tiles around n spots; values under the mask play no part, NaN included.
    mask
        (n, t), True where there is a tile. Masked tiles open no hyperedge, are in none, and get 0.
    {n_neighbors:hyperedge}
        Fewer where fewer are there.

    Returns
    -------
    (n, t, t) float32, or float64 for float64 features, on the features' device; no gradient.

    Raises
    ------
    ValueError
        If shapes do not fit, or ``n_neighbors`` is no whole number of at least 1.

    Examples
    --------
    >>> import torch
    >>> from phg2st_sc.graph import context_operator
    >>> operator = context_operator(torch.zeros(1, 2, 3), n_neighbors=1)
    >>> operator.tolist()
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    check_neighbors(n_neighbors)
    present = torch.ones(features.shape[:2], dtype=torch.bool, device=features.device) if mask is None else mask.bool()
    if features.ndim != 3 or present.shape != features.shape[:2]:
        msg = f"Features of shape {tuple(features.shape)} and mask {tuple(present.shape)} are not (n, t, d) and (n, t)."
        raise ValueError(msg)
    exact = features if features.dtype == torch.float64 else features.float()
    exact = torch.where(present[..., None], exact, 0.0)
    distances, neighbors, linked = _nearest_tiles(exact, present, n_neighbors)
    weights = _weights(distances, linked)
    incidence = torch.diag_embed(present.to(exact.dtype)).scatter_add(1, neighbors.mT, weights.mT)
    into_edges = _divide(incidence, incidence.sum(dim=1, keepdim=True)).mT
    into_spots = _divide(incidence, incidence.sum(dim=2, keepdim=True))
    return torch.bmm(into_spots, into_edges)


def _nearest_tiles(
    features: torch.Tensor, present: torch.Tensor, n_neighbors: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Distances (n, t, k) of the nearest tiles, their numbers, and whether they are any."""
    n_tiles = features.shape[1]
    pairs = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
    linked = present[:, :, None] & present[:, None, :]
    linked = linked & ~torch.eye(n_tiles, dtype=torch.bool, device=features.device)
    pairs = torch.where(linked, pairs, torch.inf)
    k = min(n_neighbors, n_tiles - 1)
    ranked, order = torch.sort(pairs, dim=2, stable=True)
    near, tiles = ranked[..., :k], order[..., :k]
    return near, tiles, torch.isfinite(near)


def _weights(distances: torch.Tensor, linked: torch.Tensor) -> torch.Tensor:
    """Return exp(-distance / median of the block), 0 where there is no neighbour."""
    ranked = distances.flatten(1).sort(dim=1).values
    count = linked.flatten(1).sum(dim=1, keepdim=True)
    if not ranked.shape[1]:
        return torch.zeros_like(distances)
    middle = [((count - low) // 2).clamp(min=0) for low in (1, 0)]
    middle = [index.clamp(max=ranked.shape[1] - 1) for index in middle]
    median = torch.stack([ranked.gather(1, index) for index in middle]).mean(dim=0)[..., None]
    scaled = torch.where(linked, distances, 0.0) / torch.where((median > 0) & median.isfinite(), median, 1.0)
    flat = torch.where(distances > 0, 0.0, 1.0)
    weights = torch.where(median > 0, torch.exp(-scaled), flat)
    return torch.where(linked, weights, 0.0)


def _divide(values: torch.Tensor, degree: torch.Tensor) -> torch.Tensor:
    return torch.where(degree > 0, values / degree.clamp(min=torch.finfo(values.dtype).tiny), 0.0)
