"""Attention of a map to its channels, then to its places."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CBAM(nn.Module):
    """Convolutional block attention: x times the weight of its channels, then times the weight of its places.

    The weight of channels is sigmoid(MLP(mean over places) + MLP(maximum over places)), that of places the sigmoid of a
    convolution over the mean and the maximum of channels.

    Parameters
    ----------
    channels
        Of the map.
    reduction
        Channels over the hidden width of the MLP.
    kernel
        Side of the convolution, odd.

    References
    ----------
    Woo, Park, Lee, Kweon, CBAM: convolutional block attention module, ECCV 2018.
    """

    def __init__(self, channels: int, *, reduction: int = 16, kernel: int = 7) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.channels = nn.Sequential(
            nn.Linear(channels, hidden, bias=False), nn.ReLU(), nn.Linear(hidden, channels, bias=False)
        )
        self.places = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) from the same."""
        weight = self.channels(x.mean(dim=(2, 3))) + self.channels(x.amax(dim=(2, 3)))
        x = x * weight.sigmoid()[:, :, None, None]
        seen = torch.stack([x.mean(dim=1), x.amax(dim=1)], dim=1)
        return x * self.places(seen).sigmoid()
