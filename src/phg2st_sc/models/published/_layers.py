"""Layers that several of the networks have."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GridEmbedding(nn.Module):
    """Sum of a learned vector per column and one per row.

    A slide with more columns or rows than the tables have entries is stretched onto them: the last column takes the last
    entry, and those between take the weighted mean of the two entries next to them.

    Parameters
    ----------
    n_positions
        Entries of each of the two tables.
    width
        Of the embedding.
    std
        Standard deviation of the entries at the start.

    Examples
    --------
    >>> import torch
    >>> GridEmbedding(64, 16)(torch.tensor([[0, 0], [126, 5]])).shape
    torch.Size([2, 16])
    """

    def __init__(self, n_positions: int, width: int, *, std: float = 1.0) -> None:
        super().__init__()
        self.column = nn.Embedding(n_positions, width)
        self.row = nn.Embedding(n_positions, width)
        for table in (self.column, self.row):
            nn.init.normal_(table.weight, std=std)

    def forward(self, grid: Tensor) -> Tensor:
        """(n, width) embedding of the (n, 2) int64 column and row of all spots of a slide, from 0."""
        return _look_up(self.column, grid[:, 0]) + _look_up(self.row, grid[:, 1])


def _look_up(table: nn.Embedding, index: Tensor) -> Tensor:
    last, largest = table.num_embeddings - 1, int(index.max()) if len(index) else 0
    if largest <= last:
        return table(index)
    place = index.to(table.weight.dtype) * (last / largest)
    below = place.floor().long().clamp(0, last)
    share = (place - below)[:, None]
    return table(below) * (1.0 - share) + table((below + 1).clamp_max(last)) * share


class LayerLSTM(nn.Module):
    """An LSTM that reads the outputs of layers one after the other; the mean of what it says at each.

    Parameters
    ----------
    width
        Of the outputs, and of the result.
    depth
        Layers of the LSTM.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, width, depth)

    def forward(self, layers: list[Tensor]) -> Tensor:
        """(n, width) from a list of (n, width), in the order of the layers."""
        said, _ = self.lstm(torch.stack(layers))
        return said.mean(dim=0)
