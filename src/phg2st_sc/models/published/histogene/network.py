"""HisToGene: a transformer over all spots of a slide, from flattened pictures and places."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from ....nn import ViTBlock
from .._layers import GridEmbedding
from .._network import SpotInputs, SpotNetwork, SpotTargets, shown_picture

_WHITE = 255.0


@dataclass(frozen=True, kw_only=True)
class HisToGeneConfig:
    """Sizes of :class:`HisToGeneNetwork`; as published unless given.

    Attributes
    ----------
    n_genes
        Size of the panel.
    n_features
        Width of frozen embeddings that take the place of the pictures; ``None`` for raw pictures.
    patch_px
        Side of the pictures.
    n_positions
        Columns and rows that have an embedding of their own.
    position_std
        Standard deviation of those embeddings at the start.
    width, depth, heads, mlp_ratio, dropout
        Of the transformer.
    """

    n_genes: int
    n_features: int | None = None
    patch_px: int = 112
    n_positions: int = 64
    position_std: float = 1.0
    width: int = 1024
    depth: int = 8
    heads: int = 16
    mlp_ratio: float = 2.0
    dropout: float = 0.1

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same configuration can be made."""
        return asdict(self)


class HisToGeneNetwork(SpotNetwork):
    """Token = linear map of the picture + column + row; transformer; expression by a linear map. Squared error.

    Parameters
    ----------
    config
        Sizes.
    """

    config_type = HisToGeneConfig
    config: HisToGeneConfig
    patches_at = "all"

    def __init__(self, config: HisToGeneConfig) -> None:
        super().__init__()
        self.config = config
        self.picture = nn.Linear(config.n_features or 3 * config.patch_px**2, config.width)
        self.position = GridEmbedding(config.n_positions, config.width, std=config.position_std)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            ViTBlock(config.width, config.heads, mlp_ratio=config.mlp_ratio, dropout=config.dropout)
            for _ in range(config.depth)
        )
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.n_genes))

    def initialize(self, expression: Tensor) -> None:
        """Start from the mean expression of the training spots."""
        with torch.no_grad():
            self.head[1].bias.copy_(expression)

    def forward(self, inputs: SpotInputs) -> Tensor:
        """(r, G) expression of the rows; all spots are looked at."""
        tokens = self.picture(self._flat(inputs)) + self.position(inputs.grid)
        tokens = self.dropout(tokens)[None]
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[0, inputs.rows])

    def training_loss(self, inputs: SpotInputs, targets: SpotTargets) -> Tensor:
        """Squared error at the rows."""
        return mse_loss(self(inputs), targets.expression)

    def _flat(self, inputs: SpotInputs) -> Tensor:
        shown = shown_picture(inputs, self.config.n_features)
        return shown if self.config.n_features is not None else shown.flatten(1).to(self.picture.weight.dtype) / _WHITE
