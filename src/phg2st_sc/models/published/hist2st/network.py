"""Hist2ST: ConvMixer, transformer and graph convolutions, with a likelihood of counts and self-distillation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ....nn import ViTBlock
from .._layers import GridEmbedding, LayerLSTM
from .._network import SpotInputs, shown_picture
from .._views import ViewConfig, ViewNetwork
from .convmixer import ConvMixer
from .graphsage import GraphSAGE, neighbor_graph

N_NEIGHBORS = 4
NEIGHBOR_RADIUS = 2.0
"""Lattice pitches beyond which a spot is no neighbour."""


@dataclass(frozen=True, kw_only=True)
class Hist2STConfig(ViewConfig):
    """Sizes of :class:`Hist2STNetwork`; as published unless given. See :class:`ViewConfig` for the rest.

    Attributes
    ----------
    cell_px, channels, kernel, mixer_depth
        Of the ConvMixer.
    n_positions
        Columns and rows that have an embedding of their own.
    position_std
        Standard deviation of those embeddings at the start.
    depth, heads, mlp_ratio, dropout
        Of the transformer; dropout of the picture too.
    graph_depth
        Graph convolutions.
    lstm_depth
        Layers of the LSTM over them.
    """

    cell_px: int = 7
    channels: int = 32
    kernel: int = 5
    mixer_depth: int = 2
    n_positions: int = 64
    position_std: float = 1.0
    depth: int = 8
    heads: int = 16
    mlp_ratio: float = 1.0
    dropout: float = 0.2
    graph_depth: int = 4
    lstm_depth: int = 2


class Hist2STNetwork(ViewNetwork):
    """Token = picture + column + row; transformer; graph convolutions; an LSTM over them; expression and counts.

    Parameters
    ----------
    config
        Sizes.
    """

    config_type = Hist2STConfig
    config: Hist2STConfig

    def __init__(self, config: Hist2STConfig) -> None:
        super().__init__(config)
        self.picture = self._picture(config)
        self.position = GridEmbedding(config.n_positions, config.width, std=config.position_std)
        self.blocks = nn.ModuleList(
            ViTBlock(config.width, config.heads, mlp_ratio=config.mlp_ratio, dropout=config.dropout)
            for _ in range(config.depth)
        )
        self.graph = nn.ModuleList(GraphSAGE(config.width) for _ in range(config.graph_depth))
        self.mix = LayerLSTM(config.width, config.lstm_depth)

    @classmethod
    def slide_graphs(cls, positions: Tensor, grid: Tensor) -> dict[str, Tensor]:
        """Nearest spots of each spot."""
        return neighbor_graph(positions, n_neighbors=N_NEIGHBORS, radius=NEIGHBOR_RADIUS)

    def tokens(self, inputs: SpotInputs) -> Tensor:
        """(r, width) tokens of the rows; all spots are looked at."""
        picture = self.picture(shown_picture(inputs, self.config.n_features))
        tokens = (picture + self.position(inputs.grid))[None]
        for block in self.blocks:
            tokens = block(tokens)
        layers = [tokens[0]]
        for convolution in self.graph:
            layers.append(convolution(layers[-1], inputs.graphs["neighbors"], inputs.graphs["neighbor_weights"]))
        return self.mix([layer[inputs.rows] for layer in layers[1:]])

    @staticmethod
    def _picture(config: Hist2STConfig) -> nn.Module:
        if config.n_features is not None:
            return nn.Sequential(nn.Linear(config.n_features, config.width), nn.Dropout(config.dropout))
        return ConvMixer(
            config.patch_px,
            config.width,
            cell_px=config.cell_px,
            channels=config.channels,
            kernel=config.kernel,
            depth=config.mixer_depth,
            dropout=config.dropout,
        )
