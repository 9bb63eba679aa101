"""Self-distillation over changed views of a slide: the loss that Hist2ST and HGGEP share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, mse_loss

from ._augment import grayscale, random_turns
from ._spot_network import SpotInputs, SpotNetwork, SpotTargets
from ._zinb import ZINBHead, zinb_loss

_GRAYSCALE = 0.1


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """What the networks that learn from changed views have in common.

    Attributes
    ----------
    n_genes
        Size of the panel.
    n_features
        Width of frozen embeddings that take the place of the image encoder; ``None`` for raw pictures.
    patch_px
        Side of the pictures.
    width
        Of the tokens.
    n_views
        Changed views per step; 0 for no distillation.
    view_dropout
        Share of the features that a view lacks, with frozen embeddings.
    count_weight
        Of the likelihood of the counts in the loss.
    view_weight
        Of the distillation in the loss.
    """

    n_genes: int
    n_features: int | None = None
    patch_px: int = 112
    width: int = 1024
    n_views: int = 5
    view_dropout: float = 0.1
    count_weight: float = 0.25
    view_weight: float = 0.5

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same configuration can be made."""
        return asdict(self)


class ViewNetwork(SpotNetwork):
    """A network over a whole slide that has three aims: expression, counts, and agreement of changed views.

    The loss is the squared error of the expression, plus ``count_weight`` times the zero-inflated negative binomial loss of
    the counts, plus ``view_weight`` times the squared distance between the prediction and the weighted mean of those of
    the views. Gradients flow to both.

    Parameters
    ----------
    config
        Sizes and weights.
    """

    config: ViewConfig
    patches_at = "all"

    def __init__(self, config: ViewConfig) -> None:
        super().__init__()
        self.config = config
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, config.n_genes))
        self.counts = ZINBHead(config.width, config.n_genes)
        self.views = ViewMean(config.width) if config.n_views else None

    def tokens(self, inputs: SpotInputs) -> Tensor:
        """(r, width) tokens of the rows."""
        raise NotImplementedError

    def initialize(self, expression: Tensor) -> None:
        """Start from the mean expression of the training spots."""
        with torch.no_grad():
            self.head[1].bias.copy_(expression)

    def forward(self, inputs: SpotInputs) -> Tensor:
        """(r, G) expression of the rows."""
        return self.head(self.tokens(inputs))

    def training_loss(self, inputs: SpotInputs, targets: SpotTargets) -> Tensor:
        """Sum of the three parts."""
        tokens = self.tokens(inputs)
        predicted = self.head(tokens)
        loss = mse_loss(predicted, targets.expression)
        if self.config.count_weight:
            counts = zinb_loss(self.counts(tokens), targets.counts, targets.size_factors)
            loss = loss + self.config.count_weight * counts
        if self.views is not None:
            changed = (changed_view(inputs, self.config.view_dropout) for _ in range(self.config.n_views))
            seen = torch.stack([self.tokens(view) for view in changed])
            loss = loss + self.config.view_weight * mse_loss(self.views(seen, self.head(seen)), predicted)
        return loss


class ViewMean(nn.Module):
    """Mean of the predictions from several views, weighted spot by spot by what a small network makes of the tokens.

    Parameters
    ----------
    width
        Of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, tokens: Tensor, predicted: Tensor) -> Tensor:
        """(r, G) from (v, r, width) tokens and (v, r, G) predictions."""
        return (self.score(tokens).softmax(dim=0) * predicted).sum(dim=0)


def changed_view(inputs: SpotInputs, view_dropout: float) -> SpotInputs:
    """The same slide, its pictures flipped, turned and some without colours; or some features left out."""
    if inputs.patches is not None:
        return replace(inputs, patches=grayscale(random_turns(inputs.patches), _GRAYSCALE))
    if inputs.features is not None:
        return replace(inputs, features=dropout(inputs.features, view_dropout))
    return inputs
