"""BLEEP: pictures and expression in one space, and retrieval of measured spots in it."""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, embedding_bag, normalize

from .._network import SpotInputs, SpotNetwork, SpotTargets, shown_rows
from .._pictures import Backbone, random_turns

_SHARE_OF_BANK = 10


@dataclass(frozen=True, kw_only=True)
class BLEEPConfig:
    """Sizes of :class:`BLEEPNetwork`; as published unless given.

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
    width
        Of the common space.
    dropout
        In training only.
    temperature
        By which similarities are divided.
    top_k
        Spots of the bank that a prediction is the mean of; at most a tenth of the bank.
    """

    n_genes: int
    n_features: int | None = None
    patch_px: int = 224
    backbone: str = "resnet50"
    width: int = 256
    dropout: float = 0.1
    temperature: float = 1.0
    top_k: int = 50

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same configuration can be made."""
        return asdict(self)


class BLEEPNetwork(SpotNetwork):
    """Projects pictures and expression to one space; predicts the mean expression of the nearest spots of a bank.

    Parameters
    ----------
    config
        Sizes.
    """

    config_type = BLEEPConfig
    config: BLEEPConfig
    mixes_slides = True
    bank: Tensor
    bank_weight: Tensor

    def __init__(self, config: BLEEPConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config.backbone) if config.n_features is None else None
        width = self.backbone.width if self.backbone is not None else int(config.n_features or 0)
        self.image = ProjectionHead(width, config.width, dropout=config.dropout)
        self.expression = ProjectionHead(config.n_genes, config.width, dropout=config.dropout)
        self.register_buffer("bank", torch.zeros(1, config.n_genes), persistent=False)
        self.register_buffer("bank_weight", torch.ones(1), persistent=False)

    def own_bank(self) -> BLEEPNetwork:
        """A network that shares these weights, and has a bank of its own."""
        other = copy.copy(self)
        other._buffers = dict(self._buffers)
        return other

    def set_bank(self, expression: Tensor, weight: Tensor | None = None) -> None:
        """Retrieve from spots with (R, G) expression, which count (R,) times each."""
        self.bank = expression.to(self.bank)
        self.bank_weight = torch.ones(len(expression)).to(self.bank) if weight is None else weight.to(self.bank)

    def forward(self, inputs: SpotInputs) -> Tensor:
        """(r, G) mean expression of the nearest spots of the bank."""
        keys = normalize(self.expression(self.bank), dim=1)
        similarity = normalize(self._image(shown_rows(inputs, self.config.n_features)), dim=1) @ keys.T
        return retrieve(similarity, self.bank, self.bank_weight, top_k=self.config.top_k)

    def training_loss(self, inputs: SpotInputs, targets: SpotTargets) -> Tensor:
        """Contrastive loss of the pictures, randomly turned, and the expression of the same spots."""
        shown = shown_rows(inputs, self.config.n_features)
        if self.backbone is not None:
            shown = random_turns(shown)
        return contrastive_loss(
            self._image(shown), self.expression(targets.expression), temperature=self.config.temperature
        )

    def _image(self, shown: Tensor) -> Tensor:
        return self.image(shown if self.backbone is None else self.backbone(shown))


class ProjectionHead(nn.Module):
    """LN(dropout(W2 GELU(W1 x)) + W1 x).

    Parameters
    ----------
    n_inputs, width
        Of the input and of the common space.
    dropout
        In training only.
    """

    def __init__(self, n_inputs: int, width: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Linear(n_inputs, width)
        self.second = nn.Linear(width, width)
        self.activation, self.dropout, self.norm = nn.GELU(), nn.Dropout(dropout), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Project (n, n_inputs) to (n, width)."""
        projected = self.first(x)
        return self.norm(self.dropout(self.second(self.activation(projected))) + projected)


def contrastive_loss(image: Tensor, expression: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Cross-entropy, both ways, of similarities across kinds towards those within kinds.

    With S the (n, d) embeddings of the expression and I those of the pictures: logits S Iᵀ / τ, targets
    softmax((I Iᵀ + S Sᵀ) / (2 τ)) by rows, transposed for the other way; gradients flow through both, as published.

    Parameters
    ----------
    image, expression
        (n, d) of the same spots.
    temperature
        τ.
    """
    logits = expression @ image.T / temperature
    targets = torch.softmax((image @ image.T + expression @ expression.T) / (2.0 * temperature), dim=1)
    return 0.5 * (cross_entropy(logits, targets) + cross_entropy(logits.T, targets.T))


def retrieve(similarity: Tensor, expression: Tensor, weight: Tensor, *, top_k: int) -> Tensor:
    """(r, G) weighted mean of the most similar spots of a bank.

    Parameters
    ----------
    similarity
        (r, R).
    expression
        (R, G).
    weight
        (R,); spots of weight 0 are not in the bank.
    top_k
        Number of spots, at most a tenth of the bank: the mean of all would be the same everywhere.
    """
    inside = weight > 0
    n = int(inside.sum())
    k = min(top_k, max(1, -(-n // _SHARE_OF_BANK)))
    found = similarity.masked_fill(~inside, -torch.inf).topk(k, dim=1).indices
    share = weight[found] / weight[found].sum(dim=1, keepdim=True)
    # sums as it gathers: (r, k, G) rows of the bank need not be held at once
    return embedding_bag(found, expression, per_sample_weights=share, mode="sum")
