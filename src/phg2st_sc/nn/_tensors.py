"""From the arrays of a slide to the tensors of the network: graphs are built here, once per slide."""

from __future__ import annotations

import numpy as np
import torch
from scipy import sparse

from .._arrays import SlideArrays
from ..graph import CombinedKNN, HypergraphOperator, context_operator
from ._config import CONTEXT_SIDE, NetworkConfig
from ._features import FeatureStats
from ._slide import SlideTensors

_CHUNK = 256
"""Spots whose context hypergraphs are built at a time."""


def check_slide(slide: SlideArrays, config: NetworkConfig, *, needs_context: bool = True) -> None:
    """Raise where a slide lacks what the network looks at."""
    if slide.features is None:
        return
    if slide.features.shape[1] != config.n_features:
        msg = f"Slide {slide.name!r} has {slide.features.shape[1]} features per spot, the network takes {config.n_features}."
        raise ValueError(msg)
    if not config.uses_context or (slide.tiles is None and not needs_context):
        return
    encoder = slide.feature_record.get("encoder", "...")
    call = f"`phg2st_sc.pp.extract_embeddings(data, encoder={encoder!r}, context={CONTEXT_SIDE})`"
    if slide.context_index is None or slide.tiles is None:
        msg = (
            f"Slide {slide.name!r} has no features of the tiles around its spots: run {call}, or train without them, "
            '`branches="spot"`.'
        )
        raise ValueError(msg)
    if slide.context_index.shape[1] != CONTEXT_SIDE**2:
        msg = f"Slide {slide.name!r} has {slide.context_index.shape[1]} tiles around each spot, not {CONTEXT_SIDE**2}: run {call}."
        raise ValueError(msg)


def slide_tensors(
    slide: SlideArrays,
    config: NetworkConfig,
    stats: FeatureStats,
    *,
    n_neighbors: int,
    engine: str,
    needs_context: bool = True,
) -> SlideTensors:
    """Tensors of a slide on the CPU, with its hypergraphs.

    The spot hypergraph is the one that comes with the slide, else the paper's.
    """
    check_slide(slide, config, needs_context=needs_context)
    features = None if slide.features is None else torch.from_numpy(np.ascontiguousarray(slide.features, np.float32))
    positions = torch.from_numpy(np.ascontiguousarray(slide.positions, np.float32))
    propagation = HypergraphOperator(_incidence(slide, stats, n_neighbors), engine=engine)
    if not config.uses_context or slide.tiles is None or slide.context_index is None:
        return SlideTensors(positions, propagation, features)
    index = torch.from_numpy(slide.context_index.astype(np.int64))
    return SlideTensors(
        positions,
        propagation,
        features,
        torch.from_numpy(np.ascontiguousarray(slide.tiles, np.float32)),
        index,
        _context_operators(torch.from_numpy(stats.apply(slide.tiles)), index, n_neighbors),
    )


def _incidence(slide: SlideArrays, stats: FeatureStats, n_neighbors: int) -> sparse.csr_matrix:
    """The slide's own hypergraph, else nearest spots by place and image.

    On standardised features: those of a large scale must not decide alone who is near whom.
    """
    if slide.incidence is not None:
        return slide.incidence
    alike = None if slide.features is None else stats.apply(slide.features)
    builder = CombinedKNN(n_neighbors=min(n_neighbors, max(slide.n_spots - 1, 1)))
    return builder.build(slide.positions, alike).incidence


def _context_operators(tiles: torch.Tensor, index: torch.Tensor, n_neighbors: int) -> torch.Tensor:
    """(n, 25, 25) propagation within each spot's tiles."""
    parts = [context_operator(tiles[part.clamp_min(0)], part >= 0, n_neighbors) for part in index.split(_CHUNK)]
    return torch.cat(parts)
