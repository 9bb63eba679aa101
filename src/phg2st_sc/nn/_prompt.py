"""Prompt embedding: measured expression to tokens."""

from __future__ import annotations

from torch import Tensor, nn


class PromptEmbedding(nn.Module):
    """LN(Dropout(W2 GELU(W1 y)) + W1 y) of log-normalised expression, zero at unprompted spots.

    Parameters
    ----------
    n_genes
        Size of the panel.
    width
        Width of the tokens.
    dropout
        In training only.
    """

    def __init__(self, n_genes: int, width: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.project = nn.Linear(n_genes, width)
        self.mix = nn.Linear(width, width)
        self.gelu = nn.GELU()
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, expression: Tensor) -> Tensor:
        """Embed (n, G) expression as (n, d) tokens."""
        projected = self.project(expression)
        return self.norm(self.dropout(self.mix(self.gelu(projected))) + projected)
