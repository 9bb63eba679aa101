"""Every spot looks at the measured spots, never at itself: what it says of a prompt is a prediction from the others."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ....nn import MLP

_HIDDEN = -1e4
"""Added to the logit of a spot's own measurement; finite, so that half precision is safe."""
_NEAREST, _FARTHEST = 1.0, 0.1
"""Slopes by distance, in 1 / pitch, that the heads start with."""


class PromptAttention(nn.Module):
    """x += attention(LN x, LN prompts); x += MLP(LN x), where nearness and likeness guide the attention.

    From the logits of every head are taken a slope times the distance in pitches and, with an image, a slope times the
    unlikeness of the two places. A spot may also look at nothing, and does not look at its own measurement.

    Parameters
    ----------
    width, heads, mlp_ratio, dropout
        Sizes.
    """

    def __init__(self, width: int, heads: int, *, mlp_ratio: float = 2.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm_prompts, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        slopes = torch.logspace(math.log10(_NEAREST), math.log10(_FARTHEST), heads)
        self.far = nn.Parameter(torch.log(torch.expm1(slopes)))
        self.unlike = nn.Parameter(torch.full((heads,), -0.5))
        self.nothing = nn.Parameter(torch.full((heads,), -2.0))
        self.dropout = nn.Dropout(dropout)
        self.mlp = MLP(width, mlp_ratio, dropout=dropout)

    def forward(self, x: Tensor, prompts: Tensor, away: Tensor, unlike: Tensor | None, own: Tensor) -> Tensor:
        """Transform (r, d) tokens by (p, d) prompts, (r, p) ``away`` and ``unlike``; ``own`` marks a spot's own prompt."""
        queries, keys = self.norm1(x), self.norm_prompts(prompts)
        q, k, v = (self._split(m(y)) for m, y in ((self.query, queries), (self.key, keys), (self.value, keys)))
        logits = q @ k.transpose(1, 2) / math.sqrt(q.shape[2])
        logits = logits - softplus(self.far)[:, None, None] * away
        if unlike is not None:
            logits = logits - softplus(self.unlike)[:, None, None] * unlike
        logits = logits + _HIDDEN * own.to(logits.dtype)
        nothing = self.nothing[:, None, None].expand(-1, len(x), 1)
        weights = torch.cat([logits, nothing], dim=2).softmax(dim=2)[..., :-1]
        mixed = (weights @ v).transpose(0, 1).flatten(1)
        x = x + self.dropout(self.out(mixed))
        return x + self.mlp(self.norm2(x))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(len(x), self.heads, -1).transpose(0, 1)
