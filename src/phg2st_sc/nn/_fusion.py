"""How prompts meet image tokens, as published. Another way is one class with one entry in ``FUSIONS``."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ._config import NetworkConfig
from ._slide import Propagation
from ._vit import MLP, Attention, mask_bias


class CrossAttention(nn.Module):
    """Pre-norm cross-attention: q += attention(LN q, LN kv); q += MLP(LN q). Queries and keys share the first norm.

    Parameters
    ----------
    width, heads, mlp_ratio, dropout
        As for :class:`ViTBlock`.
    """

    def __init__(self, width: int, heads: int, *, mlp_ratio: float = 4.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio, dropout=dropout)

    def forward(self, queries: Tensor, keys: Tensor, known: Tensor | None = None) -> Tensor:
        """Attend from (b, q, d) to (b, k, d), of which (b, k) ``known`` are there."""
        bias = None if known is None else mask_bias(known, queries.dtype)
        queries = queries + self.attention(self.norm1(queries), self.norm1(keys), bias)
        return queries + self.mlp(self.norm2(queries))


@dataclass(frozen=True, eq=False)
class FusionInput:
    """What a fusion may look at, at r of the n spots of a slide.

    Attributes
    ----------
    prompts
        (r, d) prompt embedding.
    measured
        (r,) bool, which spots are prompts.
    positions
        (r, 2) in lattice pitches.
    spots
        (r, d) tokens of the spot branch, or ``None``.
    context
        (r, 25, d) tokens of the context branch, or ``None``.
    known
        (r, 25) bool, which tiles are there.
    propagation
        Along the hypergraph of the slide, where the spots are all of it.
    looks
        (r, f) standardised image features, or ``None``.
    """

    prompts: Tensor
    measured: Tensor
    positions: Tensor
    spots: Tensor | None
    context: Tensor | None
    known: Tensor | None
    propagation: Propagation | None = None
    looks: Tensor | None = None


class PaperFusion(nn.Module):
    """Z = CrossAttn(query = Φ, key = value = T_n) + T_s, every spot on its own.

    A prompt meets the tokens of its own spot alone, as the published equations say: it moves no other prediction. Without
    the context branch the one key is the spot's own token; without the spot branch the sum has one term.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            CrossAttention(config.width, config.fusion_heads, mlp_ratio=config.mlp_ratio, dropout=config.prompt_dropout)
            for _ in range(config.fusion_blocks)
        )

    def forward(self, given: FusionInput) -> Tensor:
        """Joint tokens (r, d)."""
        keys = given.context
        if keys is None and given.spots is not None:
            keys = given.spots[:, None]
        if keys is None:
            raise ValueError("Neither spot nor context tokens to fuse with.")
        guided = given.prompts[:, None]
        for block in self.blocks:
            guided = block(guided, keys, given.known)
        return guided[:, 0] if given.spots is None else guided[:, 0] + given.spots
