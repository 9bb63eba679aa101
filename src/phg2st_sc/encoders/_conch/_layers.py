"""The layers that CONCH puts behind its vision transformer; imported where one is built."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

_HEADS = 8


class ImageTower(nn.Module):
    """A vision transformer, and one learned query that attends to its tokens."""

    def __init__(self, trunk: Any, pool: nn.Module, dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.attn_pool_contrast = pool
        self.ln_contrast = nn.LayerNorm(dim)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Return (b, dim), before the projection to the space of texts."""
        return self.ln_contrast(self.attn_pool_contrast(self.trunk.forward_features(batch)))


class Pool(nn.Module):
    """The query of CONCH: attention of torch itself."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.attn = nn.MultiheadAttention(dim, _HEADS, kdim=width, vdim=width, batch_first=True)
        self.ln_q, self.ln_k = nn.LayerNorm(dim), nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """From (b, n, width) tokens to (b, dim)."""
        keys = self.ln_k(tokens)
        query = self.ln_q(self.query).expand(len(tokens), 1, -1)
        return self.attn(query, keys, keys, need_weights=False)[0][:, 0]


class PoolWithoutBias(nn.Module):
    """The query of CONCH v1.5: projections of its own, without biases."""

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, dim))
        self.ln_q, self.ln_k = nn.LayerNorm(dim), nn.LayerNorm(width)
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_kv = nn.Linear(width, 2 * dim, bias=False)
        self.to_out = nn.Linear(dim, dim, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """From (b, n, width) tokens to (b, dim)."""
        keys, values = self.to_kv(self.ln_k(tokens)).chunk(2, dim=-1)
        query = self.to_q(self.ln_q(self.query)).expand(len(tokens), 1, -1)
        query, keys, values = (one.unflatten(-1, (_HEADS, -1)).transpose(1, 2) for one in (query, keys, values))
        return self.to_out(scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)[:, 0])
