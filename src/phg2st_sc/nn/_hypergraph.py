"""Hypergraph convolution as a module; the propagation itself comes with the slide."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class HypergraphConv(nn.Module):
    """X' = P (X Θ) + b with the propagation P = D_v^-1 H D_e^-1 H^T of the hypergraph at hand.

    Parameters
    ----------
    width_in, width_out
        Widths of the node features.
    """

    def __init__(self, width_in: int, width_out: int) -> None:
        super().__init__()
        self.theta = nn.Linear(width_in, width_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(width_out))

    def forward(self, x: Tensor, propagate: Callable[[Tensor], Tensor]) -> Tensor:
        """Convolve (..., n, d) node features."""
        return propagate(self.theta(x)) + self.bias


class HypergraphBlock(nn.Module):
    """Two hypergraph convolutions with a residual: conv2(Dropout(LN(ReLU(conv1(x))))) + x.

    Parameters
    ----------
    width
        Width of the node features.
    hidden
        Width between the convolutions.
    dropout
        In training only.
    """

    def __init__(self, width: int, hidden: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv1 = HypergraphConv(width, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = HypergraphConv(hidden, width)

    def forward(self, x: Tensor, propagate: Callable[[Tensor], Tensor]) -> Tensor:
        """Convolve (..., n, d) node features twice."""
        hidden = self.dropout(self.norm(torch.relu(self.conv1(x, propagate))))
        return self.conv2(hidden, propagate) + x
