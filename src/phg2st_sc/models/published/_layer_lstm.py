"""Mix what several layers say of a spot."""

from __future__ import annotations

import torch
from torch import Tensor, nn


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
