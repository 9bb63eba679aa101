"""Blocks of HGGEP: edges of pictures by central differences, and attention of a map to its channels and places."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

_CROSS = ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1))
"""Row and column of the taps in a 3x3 kernel."""
_CENTER = 2


class CrossDifferenceConv(nn.Module):
    """3x3 convolution over a pixel and the four beside it, of what is there less a share of what is in the middle.

    With taps w over the cross, y = sum_k w_k (x_k - theta x_middle) + b: at 0 a plain convolution, at 1 one that sees
    differences only.

    Parameters
    ----------
    channels_in, channels_out
        Of the maps.
    stride
        Of the convolution.
    theta
        The share, within [0, 1].

    References
    ----------
    Yu, Qin, Zhao, Li, Zhao, Dual-cross central difference network for face anti-spoofing, IJCAI 2021.

    Examples
    --------
    >>> import torch
    >>> flat = torch.ones(1, 3, 5, 5)
    >>> edges = CrossDifferenceConv(3, 1, theta=1.0)(flat)[0, 0, 1:-1, 1:-1]
    >>> bool((edges - edges.mean()).abs().max() < 1e-6)
    True
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int = 1, theta: float = 0.7) -> None:
        super().__init__()
        self.stride, self.theta = stride, theta
        bound = 1.0 / math.sqrt(channels_in * len(_CROSS))
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, len(_CROSS)).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(channels_out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels_out, ceil(h / stride), ceil(w / stride)) from (n, channels_in, h, w); 0 beyond the rim."""
        return conv2d(x, self.kernel(), self.bias, stride=self.stride, padding=1)

    def kernel(self) -> Tensor:
        """(channels_out, channels_in, 3, 3) plain kernel that does the same: the share is taken off the middle tap."""
        middle = torch.zeros_like(self.weight)
        middle[..., _CENTER] = self.theta * self.weight.sum(dim=2)
        kernel = self.weight.new_zeros(*self.weight.shape[:2], 3, 3)
        rows, columns = zip(*_CROSS, strict=True)
        kernel[:, :, rows, columns] = self.weight - middle
        return kernel


class GradientEnhance(nn.Module):
    """Three channels in which edges stand out: a plain and a central-difference convolution, put together.

    Parameters
    ----------
    channels
        Of each branch.
    theta
        See :class:`CrossDifferenceConv`.
    """

    def __init__(self, channels: int, *, theta: float = 0.7) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.edges = CrossDifferenceConv(3, channels, stride=2, theta=theta)
        self.join = nn.Sequential(nn.Conv2d(2 * channels, 3, 1, padding=1), nn.BatchNorm2d(3), nn.ReLU6())

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, ceil(h / 2) + 2, ceil(w / 2) + 2) from (n, 3, h, w)."""
        return self.join(torch.cat([self.plain(x), self.edges(x)], dim=1))


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
