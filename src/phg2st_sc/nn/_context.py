"""Context branch: the tiles around each spot, each spot on its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._config import CONTEXT_SIDE, NetworkConfig
from ._features import FeatureInput
from ._hypergraph import HypergraphBlock
from ._slide import SlideTensors
from ._vit import ViTBlock, offset_bias, offset_index


class ContextEncoder(nn.Module):
    """Tiles around each spot, through their own hypergraph and transformer blocks, to T_n (n, 25, d).

    Parameters
    ----------
    config
        Sizes.
    """

    offsets: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.input = FeatureInput(config.n_features, config.width)
        self.hypergraph = HypergraphBlock(config.width, config.hypergraph_width, dropout=config.graph_dropout)
        self.blocks = nn.ModuleList(
            ViTBlock(config.width, config.context_heads, mlp_ratio=config.mlp_ratio, dropout=config.context_dropout)
            for _ in range(config.context_blocks)
        )
        self.propagates, self.shares = config.hypergraph, config.fusion != "paper"
        self.norm = nn.LayerNorm(config.width)
        self.position_bias = nn.Parameter(torch.zeros(config.context_heads, CONTEXT_SIDE**2))
        self.register_buffer("offsets", offset_index(CONTEXT_SIDE), persistent=False)

    def forward(self, slide: SlideTensors, rows: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (r, 25, d) of the tiles around the given spots, and (r, 25) bool, which of them are there."""
        known = self._known(slide, rows)
        if slide.tiles is None and self.shares:  # the stand-ins of all spots are the same: one is enough
            return self._encode(slide, rows, known[:1]).expand(len(known), -1, -1), known
        return self._encode(slide, rows, known), known

    def _encode(self, slide: SlideTensors, rows: Tensor | None, known: Tensor) -> Tensor:
        x = self._tokens(slide, rows, known)
        if not self.propagates:
            x = self.hypergraph(x, lambda z: z)
        elif slide.context_operator is not None:
            operator = slide.context_operator if rows is None else slide.context_operator[rows]
            x = self.hypergraph(x, lambda z: torch.bmm(operator.to(z.dtype), z))
        else:
            x = self.hypergraph(x, lambda z: z.mean(dim=1, keepdim=True).expand_as(z))
        bias = offset_bias(self.position_bias, self.offsets, known)
        for block in self.blocks:
            x = block(x, bias)
        if not self.blocks:  # all parameters take part in every step, as distributed training asks for
            x = x + 0.0 * self.position_bias.sum()
        return self.norm(x)

    def _known(self, slide: SlideTensors, rows: Tensor | None) -> Tensor:
        if slide.tiles is None or slide.context_index is None:
            n = slide.n_spots if rows is None else rows.shape[0]
            return torch.zeros(n, CONTEXT_SIDE**2, dtype=torch.bool, device=slide.positions.device)
        return (slide.context_index if rows is None else slide.context_index[rows]) >= 0

    def _tokens(self, slide: SlideTensors, rows: Tensor | None, known: Tensor) -> Tensor:
        if slide.tiles is None or slide.context_index is None:
            return self.input(None, tuple(known.shape))
        index = slide.context_index if rows is None else slide.context_index[rows]
        tokens = self.input(slide.tiles, (slide.tiles.shape[0],))
        # `known` tiles keep their token; the others take the stand-in for a missing image
        missing = self.input(None, (1, 1))
        return torch.where(known[..., None], tokens[index.clamp_min(0)], missing)
