"""Pre-norm transformer block."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

_MASKED = -1e4
"""Added to the logits of tokens that are not there; finite, so that half precision and fully masked rows are safe."""


class Attention(nn.Module):
    """Multi-head attention; queries, keys and values are projected without bias, the output with one.

    Parameters
    ----------
    width
        Width of the tokens.
    heads
        Number of heads.
    dropout
        On attention weights and output, in training only.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.rate = heads, dropout
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, queries: Tensor, keys: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attend from (b, q, d) to (b, k, d); ``bias`` is added to the (b, heads, q, k) logits."""
        q, k, v = (self._split(m(x)) for m, x in ((self.query, queries), (self.key, keys), (self.value, keys)))
        mask = None if bias is None else bias.to(q.dtype)
        rate = self.rate if self.training else 0.0
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=rate)
        return self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)


class MLP(nn.Sequential):
    """Linear, GELU, linear, with dropout."""

    def __init__(self, width: int, ratio: float, *, dropout: float = 0.0) -> None:
        hidden = round(width * ratio)
        super().__init__(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.Dropout(dropout)
        )


class ViTBlock(nn.Module):
    """x += attention(LN x); x += MLP(LN x).

    Parameters
    ----------
    width, heads
        Of the tokens and the attention.
    mlp_ratio
        Hidden width of the MLP over ``width``.
    dropout
        In training only.
    """

    def __init__(self, width: int, heads: int, *, mlp_ratio: float = 4.0, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout=dropout)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, mlp_ratio, dropout=dropout)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """Transform (b, n, d) tokens."""
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, bias)
        return x + self.mlp(self.norm2(x))


def offset_index(side: int) -> Tensor:
    """(side², side²) index of the absolute offset (|row|, |column|) between two cells of a square block."""
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    row, column = row.reshape(-1), column.reshape(-1)
    return (row[:, None] - row[None]).abs() * side + (column[:, None] - column[None]).abs()


def mask_bias(known: Tensor, dtype: torch.dtype) -> Tensor:
    """(b, 1, 1, k) bias of attention: a large negative number for those of (b, k) tokens that are not ``known``."""
    # where there is no token at all every key stays, or attention would have nothing to look at
    hidden = ~known & known.any(dim=1, keepdim=True)
    return _MASKED * hidden[:, None, None, :].to(dtype)


def offset_bias(learned: Tensor, offsets: Tensor, known: Tensor) -> Tensor:
    """(b, heads, c², c²) bias of attention within blocks of tiles.

    Parameters
    ----------
    learned
        (heads, c²) for every absolute offset between two tiles.
    offsets
        Of :func:`offset_index`.
    known
        (b, c²) bool, which tiles are there.
    """
    return learned[:, offsets][None] + mask_bias(known, learned.dtype)


def mean_of_known(tokens: Tensor, known: Tensor) -> Tensor:
    """(b, d) mean over those of (b, k, d) tokens that are ``known``; over all where none is."""
    weight = torch.where(known.any(dim=1, keepdim=True), known, True).to(tokens.dtype)
    return (tokens * weight[..., None]).sum(dim=1) / weight.sum(dim=1, keepdim=True)
