"""Spot branch: all spots of a slide as tokens of one sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ._config import NetworkConfig
from ._features import FeatureInput
from ._hypergraph import HypergraphBlock
from ._slide import SlideTensors, in_full_precision
from ._vit import ViTBlock


class SpotEncoder(nn.Module):
    """Spot features, through the spot hypergraph and transformer blocks over all spots, to T_s (n, d).

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.input = FeatureInput(config.n_features, config.width)
        self.hypergraph = HypergraphBlock(config.width, config.hypergraph_width, dropout=config.graph_dropout)
        self.blocks = nn.ModuleList(
            ViTBlock(config.width, config.spot_heads, mlp_ratio=config.mlp_ratio, dropout=config.dropout)
            for _ in range(config.spot_blocks)
        )
        self.propagates = config.hypergraph
        self.positional = LatticeConv(config.width) if config.positional_conv else None
        self.norm = nn.LayerNorm(config.width)

    def forward(self, slide: SlideTensors) -> Tensor:
        """Tokens (n, d) of the spots of a slide."""
        x = self.input(slide.features, (slide.n_spots,))
        x = self.hypergraph(x, lambda z: in_full_precision(slide.propagation, z) if self.propagates else z)[None]
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == 0 and self.positional is not None:
                x = self.positional(x[0], slide.positions)[None]
        return self.norm(x[0])


class LatticeConv(nn.Module):
    """Depthwise 3 x 3 convolution of spot tokens on the capture lattice, added to them.

    Spots are laid on the grid of whole pitches; those that share a cell are averaged. The order of the spots plays no
    role.

    Parameters
    ----------
    width
        Width of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """Convolve (n, d) tokens at (n, 2) positions in pitches."""
        cells = torch.round(positions - positions.amin(dim=0)).long()
        columns, rows = int(cells[:, 0].max()) + 1, int(cells[:, 1].max()) + 1
        flat = cells[:, 1] * columns + cells[:, 0]
        share = 1.0 / torch.bincount(flat, minlength=rows * columns)[flat].to(x.dtype)
        grid = x.new_zeros(rows * columns, x.shape[1]).index_add(0, flat, x * share[:, None])
        image = grid.T.reshape(1, -1, rows, columns)
        mixed = self.conv(image).reshape(x.shape[1], -1).T
        return x + mixed[flat].to(x.dtype)
