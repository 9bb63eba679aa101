"""Slides as networks see them."""

from __future__ import annotations

import numpy as np
import torch

from phg2st_sc.graph import CombinedKNN, HypergraphOperator, context_operator
from phg2st_sc.nn import NetworkConfig, SlideTensors

N_SPOTS, N_GENES, N_FEATURES = 30, 7, 6


def random_slide(seed: int = 0, *, n_spots: int = N_SPOTS, image: bool = True) -> SlideTensors:
    """Spots on a lattice with random features; the block of a corner spot lacks tiles."""
    rng = np.random.default_rng(seed)
    positions = np.stack([np.arange(n_spots) % 6, np.arange(n_spots) // 6], axis=1).astype(np.float64)
    features = rng.normal(size=(n_spots, N_FEATURES)).astype(np.float32)
    propagation = HypergraphOperator(
        CombinedKNN(n_neighbors=3).build(positions, features if image else None), engine="torch"
    )
    where = torch.from_numpy(positions.astype(np.float32))
    if not image:
        return SlideTensors(where, propagation)
    tiles = torch.from_numpy(rng.normal(size=(60, N_FEATURES)).astype(np.float32))
    index = torch.from_numpy(rng.integers(0, 60, size=(n_spots, 25)))
    index[0, :10] = -1
    operator = context_operator(tiles[index.clamp_min(0)], index >= 0, 4)
    return SlideTensors(where, propagation, torch.from_numpy(features), tiles, index, operator)


def small_config(**changes: object) -> NetworkConfig:
    """A network of a few thousand parameters."""
    sizes = {"width": 16, "hypergraph_width": 8, "spot_heads": 2, "context_heads": 2, "fusion_heads": 2}
    return NetworkConfig(n_features=N_FEATURES, n_genes=N_GENES, **{**sizes, **changes})
