"""ConvMixer: pictures of spots to tokens by convolutions that mix places and channels in turn."""

from __future__ import annotations

from torch import Tensor, nn

_WHITE = 255.0


class ConvMixerBlock(nn.Module):
    """x = D(D(x)) + x with D = GELU(BN(depthwise convolution)); then BN(GELU(1x1 convolution)).

    Parameters
    ----------
    channels
        Of the map.
    kernel
        Side of the depthwise convolutions, odd.
    """

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        depthwise = [
            layer
            for _ in range(2)
            for layer in (
                nn.Conv2d(channels, channels, kernel, groups=channels, padding="same"),
                nn.BatchNorm2d(channels),
                nn.GELU(),
            )
        ]
        self.depthwise = nn.Sequential(*depthwise)
        self.pointwise = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU(), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) from the same."""
        return self.pointwise(self.depthwise(x) + x)


class ConvMixer(nn.Module):
    """Token of a picture: cells, dropout, blocks, and a 1x1 convolution whose map is the token.

    Parameters
    ----------
    patch_px
        Side of the pictures.
    width
        Of the token: a multiple of the number of cells.
    cell_px
        Side of a cell.
    channels, kernel, depth
        Of the map, of the depthwise convolutions, and number of blocks.
    dropout
        Of the map, in training only.

    Raises
    ------
    ValueError
        If pictures do not divide into cells, or tokens into the values of a cell.
    """

    def __init__(
        self, patch_px: int, width: int, *, cell_px: int, channels: int, kernel: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        cells = (patch_px // cell_px) ** 2
        if patch_px % cell_px or width % cells:
            msg = (
                f"patch_px={patch_px!r} must be a multiple of cell_px={cell_px!r}, and width={width!r} of the number of "
                f"cells, {cells}."
            )
            raise ValueError(msg)
        self.cells = nn.Conv2d(3, channels, cell_px, stride=cell_px)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(ConvMixerBlock(channels, kernel) for _ in range(depth)))
        self.narrow = nn.Conv2d(channels, width // cells, 1)

    def forward(self, patches: Tensor) -> Tensor:
        """(n, width) from (n, 3, p, p) pictures, 0 to 255."""
        brightness = patches.to(self.cells.weight.dtype) / _WHITE
        return self.narrow(self.blocks(self.dropout(self.cells(brightness)))).flatten(1)
