"""Fusion by which every prompt reaches every spot."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus
from torch.utils.checkpoint import checkpoint

from ._config import NetworkConfig
from ._fusion import FusionInput, PaperFusion
from ._hypergraph import HypergraphBlock
from ._slide import in_full_precision
from ._vit import MLP, Attention

_WHOLE = 1024
"""Spots up to which attention is held whole; beyond it, so many queries are attended from at a time."""


class PropagationBlock(nn.Module):
    """x += attention(LN x); x += MLP(LN x), where nearness, likeness and measurement guide the attention.

    To the logits of every head are added: minus a slope times the distance in pitches, minus a slope times the distance
    of the image features (root mean square over standardised features; nothing without an image), and a bonus for keys
    that are prompts. All three are learned, and the slopes stay positive.

    Beyond 1,024 spots queries are taken in chunks that are computed again on the way back, so that memory grows with the
    spots and not with their square; time still does.

    Parameters
    ----------
    width, heads, mlp_ratio, dropout
        As for :class:`ViTBlock`.
    histology
        Whether image features guide the attention.
    """

    def __init__(
        self, width: int, heads: int, *, mlp_ratio: float = 2.0, dropout: float = 0.0, histology: bool = True
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio, dropout=dropout)
        slopes = torch.logspace(math.log10(0.5), math.log10(0.05), heads)
        self.far = nn.Parameter(_inverse_softplus(slopes))
        self.unlike = nn.Parameter(_inverse_softplus(torch.full((heads,), 0.5))) if histology else None
        self.bonus = nn.Parameter(torch.ones(heads))

    def forward(self, x: Tensor, positions: Tensor, looks: Tensor | None, measured: Tensor) -> Tensor:
        """Transform (n, d) tokens at (n, 2) positions with (n, f) looks, of which (n,) are ``measured``."""
        normed = self.norm1(x)
        attend = partial(self._attend, normed, positions, looks, measured)
        rows = torch.arange(len(x), device=x.device)
        if len(x) <= _WHOLE:
            mixed = attend(rows)
        else:
            mixed = torch.cat([checkpoint(attend, part, use_reentrant=False) for part in rows.split(_WHOLE // 4)])
        x = x + mixed
        return x + self.mlp(self.norm2(x))

    def _attend(
        self, normed: Tensor, positions: Tensor, looks: Tensor | None, measured: Tensor, rows: Tensor
    ) -> Tensor:
        bias = -softplus(self.far)[:, None, None] * torch.cdist(positions[rows], positions)
        bias = bias + self.bonus[:, None, None] * measured.to(bias.dtype)
        if self.unlike is not None:
            slope = softplus(self.unlike)[:, None, None]
            # all parameters take part in every step, as distributed training asks for
            bias = bias - (0.0 * slope if looks is None else slope * _unlikeness(looks[rows], looks))
        return self.attention(normed[rows][None], normed[None], bias[None])[0]


class PropagateFusion(nn.Module):
    """The published fusion, then a hypergraph convolution of the joint tokens, then attention among all spots.

    Takes all spots of a slide at once.

    Parameters
    ----------
    config
        Sizes; ``hypergraph=False`` leaves the convolution out, ``propagation=False`` all that follows the published
        fusion.
    """

    whole_slide = True

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.published = PaperFusion(config)
        convolved = config.propagation and config.hypergraph
        self.hypergraph = (
            HypergraphBlock(config.width, config.hypergraph_width, dropout=config.graph_dropout) if convolved else None
        )
        blocks = config.propagation_blocks if config.propagation else 0
        self.blocks = nn.ModuleList(
            PropagationBlock(
                config.width,
                config.fusion_heads,
                mlp_ratio=config.mlp_ratio,
                dropout=config.dropout,
                histology=config.histology,
            )
            for _ in range(blocks)
        )

    def forward(self, given: FusionInput) -> Tensor:
        """Joint tokens (n, d)."""
        propagation = given.propagation
        if propagation is None:
            raise ValueError("This fusion takes all spots of a slide, with their hypergraph.")
        x = self.published(given)
        if self.hypergraph is not None:
            x = self.hypergraph(x, lambda z: in_full_precision(propagation, z))
        for block in self.blocks:
            x = block(x, given.positions, given.looks, given.measured)
        return x


def _unlikeness(a: Tensor, b: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cdist(a, b) / math.sqrt(2.0 * a.shape[1])


def _inverse_softplus(value: Tensor) -> Tensor:
    return value + torch.log(-torch.expm1(-value))
