"""HGGEP: edges of pictures, three depths of an image encoder, transformers, and a hypergraph of what they say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from ....graph import CombinedKNN, HypergraphOperator
from ....nn import HypergraphBlock, ViTBlock
from .._layers import GridEmbedding, LayerLSTM
from .._network import SpotInputs, shown_picture
from .._views import ViewConfig, ViewNetwork
from .blocks import CBAM, GradientEnhance
from .shufflenet import CHANNELS, ShuffleNetV2

_WHITE = 255.0
_TAPS = 3


@dataclass(frozen=True, kw_only=True)
class HGGEPConfig(ViewConfig):
    """Sizes of :class:`HGGEPNetwork`; as published unless given. See :class:`ViewConfig` for the rest.

    Attributes
    ----------
    edge_channels, edge_theta
        Of the two branches that bring out edges; channels of each, and the share of the middle that is taken off.
    n_positions
        Columns and rows that have an embedding of their own.
    position_std
        Standard deviation of those embeddings at the start.
    depth, heads, mlp_ratio, dropout
        Of each of the three transformers; dropout of embeddings that take the place of the image encoder, too.
    n_neighbors
        Spots in a hyperedge beside its own.
    hypergraph_width, graph_dropout
        Between the two hypergraph convolutions.
    lstm_depth
        Layers of the LSTM over the three transformers and the hypergraph.
    """

    edge_channels: int = 16
    edge_theta: float = 0.7
    n_positions: int = 64
    position_std: float = 1.0
    depth: int = 4
    heads: int = 16
    mlp_ratio: float = 1.0
    dropout: float = 0.2
    n_neighbors: int = 4
    hypergraph_width: int = 512
    graph_dropout: float = 0.5
    lstm_depth: int = 4


class HGGEPNetwork(ViewNetwork):
    """Three tokens of a picture, each with its place through its transformer; a hypergraph of their sum; an LSTM over all.

    The hypergraph is that of :class:`phg2st_sc.graph.CombinedKNN` over the sum of the three, made anew in every pass: no
    gradient flows through which spots are near each other, or how near.

    Parameters
    ----------
    config
        Sizes.
    """

    config_type = HGGEPConfig
    config: HGGEPConfig

    def __init__(self, config: HGGEPConfig) -> None:
        super().__init__(config)
        self.picture: nn.Module = PictureTaps(config) if config.n_features is None else FeatureTaps(config)
        self.position = GridEmbedding(config.n_positions, config.width, std=config.position_std)
        self.transformers = nn.ModuleList(_transformer(config) for _ in range(_TAPS))
        self.hypergraph = HypergraphBlock(config.width, config.hypergraph_width, dropout=config.graph_dropout)
        self.mix = LayerLSTM(config.width, config.lstm_depth)
        self._builder = CombinedKNN(n_neighbors=config.n_neighbors)

    def tokens(self, inputs: SpotInputs) -> Tensor:
        """(r, width) tokens of the rows; all spots are looked at."""
        place = self.position(inputs.grid)
        taps = self.picture(shown_picture(inputs, self.config.n_features))
        layers = [blocks((tap + place)[None])[0] for blocks, tap in zip(self.transformers, taps, strict=True)]
        together = torch.stack(layers).sum(dim=0)
        layers.append(self.hypergraph(together, self.propagation(inputs.positions, together).apply))
        return self.mix([layer[inputs.rows] for layer in layers])

    def propagation(self, positions: Tensor, tokens: Tensor) -> HypergraphOperator:
        """Hypergraph of spots that are near each other and alike.

        Raises
        ------
        ValueError
            If tokens are not finite.
        """
        alike = tokens.detach().float().cpu().numpy()
        if not torch.isfinite(tokens).all():
            msg = "The network's tokens are not finite: training went astray; lower `lr`, or set `gradient_clip`."
            raise ValueError(msg)
        return HypergraphOperator(
            self._builder.build(positions.cpu().numpy(), alike), engine="torch", device=tokens.device
        )


class FeatureTaps(nn.Module):
    """Three linear maps of a frozen embedding, in the place of three depths of an image encoder.

    Parameters
    ----------
    config
        Sizes.
    """

    def __init__(self, config: HGGEPConfig) -> None:
        super().__init__()
        self.taps = nn.ModuleList(nn.Linear(config.n_features or 0, config.width) for _ in range(_TAPS))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Tensor) -> list[Tensor]:
        """Three times (n, width) from (n, n_features)."""
        return [self.dropout(tap(features)) for tap in self.taps]


class PictureTaps(nn.Module):
    """Edges, ShuffleNetV2, and tokens of its last stage, of its last convolution and of the maximum of that.

    Parameters
    ----------
    config
        Sizes.

    Raises
    ------
    ValueError
        If tokens do not divide into the places of the maps.
    """

    def __init__(self, config: HGGEPConfig) -> None:
        super().__init__()
        self.edges = GradientEnhance(config.edge_channels, theta=config.edge_theta)
        self.backbone = ShuffleNetV2()
        places = map_side(config.patch_px) ** 2
        if config.width % places:
            msg = (
                f"width={config.width!r} must be a multiple of {places}, the places that maps of pictures of "
                f"patch_px={config.patch_px!r} have."
            )
            raise ValueError(msg)
        *_, narrow, wide = CHANNELS
        self.taps = nn.ModuleList(
            [
                Tap(narrow, config.width // places),
                Tap(wide, config.width // places),
                Tap(wide, config.width),
            ]
        )

    def forward(self, patches: Tensor) -> list[Tensor]:
        """Three times (n, width) from (n, 3, p, p) pictures, 0 to 255."""
        brightness = patches.to(torch.promote_types(torch.float32, self.edges.plain.weight.dtype)) / _WHITE
        stage4, conv5 = self.backbone(self.edges(brightness))
        maps = (stage4, conv5, conv5.amax(dim=(2, 3), keepdim=True))
        return [tap(seen) for tap, seen in zip(self.taps, maps, strict=True)]


class Tap(nn.Sequential):
    """Token of a map: attention, batch normalisation, and a 1x1 convolution whose map is the token.

    Parameters
    ----------
    channels_in, channels_out
        Of the map before and after the convolution.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            CBAM(channels_in), _BatchNorm(channels_in), nn.Conv2d(channels_in, channels_out, 1), nn.Flatten()
        )


class _BatchNorm(nn.BatchNorm2d):
    """Batch normalisation that takes its running statistics where a single value per channel has none of its own."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.shape[0] * x.shape[2] * x.shape[3] > 1:
            return super().forward(x)
        return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def map_side(patch_px: int) -> int:
    """Side of the maps of a picture after edges and ShuffleNetV2.

    Examples
    --------
    >>> map_side(112)
    4
    """
    side = -(-patch_px // 2) + 2
    return -(-side // 16)


def _transformer(config: HGGEPConfig) -> nn.Sequential:
    return nn.Sequential(
        *(
            ViTBlock(config.width, config.heads, mlp_ratio=config.mlp_ratio, dropout=config.dropout)
            for _ in range(config.depth)
        )
    )
