"""ST-Net: an image encoder and a linear map, spot by spot."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from .._network import SpotInputs, SpotNetwork, SpotTargets, shown_rows
from .._pictures import Backbone, dihedral, random_turns

_FORMS = 8


@dataclass(frozen=True, kw_only=True)
class STNetConfig:
    """Sizes of :class:`STNetwork`; as published unless given.

    Attributes
    ----------
    n_genes
        Size of the panel.
    n_features
        Width of frozen embeddings that take the place of the image encoder; ``None`` for raw pictures.
    patch_px
        Side of the pictures.
    backbone
        Image encoder, by its name in timm.
    views
        Average predictions over the eight flipped and turned forms of a picture.
    dropout
        Of embeddings, in training only.
    """

    n_genes: int
    n_features: int | None = None
    patch_px: int = 224
    backbone: str = "densenet121"
    views: bool = True
    dropout: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same configuration can be made."""
        return asdict(self)


class STNetwork(SpotNetwork):
    """Expression of a spot as a linear map of what an image encoder makes of its picture. Squared error.

    Parameters
    ----------
    config
        Sizes.
    """

    config_type = STNetConfig
    config: STNetConfig
    mixes_slides = True

    def __init__(self, config: STNetConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone) if config.n_features is None else None
        self.dropout = nn.Dropout(config.dropout)
        width = self.backbone.width if self.backbone is not None else config.n_features
        self.head = nn.Linear(int(width or 0), config.n_genes)
        nn.init.zeros_(self.head.weight)

    def initialize(self, expression: Tensor) -> None:
        """Start from the mean expression of the training spots."""
        with torch.no_grad():
            self.head.bias.copy_(expression)

    def forward(self, inputs: SpotInputs) -> Tensor:
        """(r, G) expression; in evaluation the mean over the forms of the picture."""
        shown = shown_rows(inputs, self.config.n_features)
        if self.backbone is None or self.training or not self.config.views:
            return self._of(shown)
        return torch.stack([self._of(dihedral(shown, form)) for form in range(_FORMS)]).mean(dim=0)

    def training_loss(self, inputs: SpotInputs, targets: SpotTargets) -> Tensor:
        """Squared error, of a randomly turned picture."""
        shown = shown_rows(inputs, self.config.n_features)
        if self.backbone is not None:
            shown = random_turns(shown)
        return mse_loss(self._of(shown), targets.expression)

    def _of(self, shown: Tensor) -> Tensor:
        return self.head(self.dropout(shown if self.backbone is None else self.backbone(shown)))
