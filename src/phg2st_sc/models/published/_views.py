"""The loss that Hist2ST and HGGEP share: expression, the likelihood of raw counts, and agreement of changed views."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, logsigmoid, mse_loss, softplus

from ._network import SpotInputs, SpotNetwork, SpotTargets
from ._pictures import grayscale, random_turns

_GRAYSCALE = 0.1
_MEAN = (1e-5, 1e6)
_DISPERSION = (1e-4, 1e4)
_LIKELY_MEAN = (1e-3, 1e5)
"""Bounds of means at the start, well within those at which the gradient ends."""


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

    def initialize_counts(self, counts: Tensor, size_factors: Tensor) -> None:
        """Start from the mean counts of the training spots."""
        self.counts.initialize(counts, size_factors)

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


# --- likelihood of counts ---------------------------------------------------------------------------------------------
class ZINB(NamedTuple):
    """Zero-inflated negative binomial distributions.

    Attributes
    ----------
    log_mean
        Logarithm of the mean of the negative binomial part, before the size factor.
    dispersion
        Its variance is mean + mean² / dispersion.
    logits
        Log odds of an extra zero.
    """

    log_mean: Tensor
    dispersion: Tensor
    logits: Tensor


class ZINBHead(nn.Module):
    """Distribution of the counts of each gene from the token of a spot, by one linear map per parameter.

    Parameters
    ----------
    width
        Of the tokens.
    n_genes
        Size of the panel.
    """

    def __init__(self, width: int, n_genes: int) -> None:
        super().__init__()
        self.log_mean = nn.Linear(width, n_genes)
        self.dispersion = nn.Linear(width, n_genes)
        self.logits = nn.Linear(width, n_genes)

    def initialize(self, counts: Tensor, size_factors: Tensor) -> None:
        """Start from the mean of (m, G) counts over the (m,) size factors, within the bounds of means.

        From elsewhere, training first makes the tokens of all spots alike, and as large as the counts ask for.
        """
        mean = (counts.sum(dim=0) / size_factors.sum().clamp_min(_MEAN[0])).clamp(*_LIKELY_MEAN)
        with torch.no_grad():
            self.log_mean.bias.copy_(mean.log())

    def forward(self, tokens: Tensor) -> ZINB:
        """Means within [1e-5, 1e6] and dispersions within [1e-4, 1e4], of shape (..., G), from (..., width) tokens."""
        low, high = (math.log(bound) for bound in _MEAN)
        return ZINB(
            self.log_mean(tokens).clamp(low, high),
            softplus(self.dispersion(tokens)).clamp(*_DISPERSION),
            self.logits(tokens),
        )


def zinb_loss(zinb: ZINB, counts: Tensor, size_factors: Tensor) -> Tensor:
    """Negative log likelihood of counts, mean over spots and genes.

    Parameters
    ----------
    zinb
        Distributions, (r, G).
    counts
        (r, G) raw counts.
    size_factors
        (r,) by which the means are multiplied.

    Examples
    --------
    >>> import torch
    >>> one = torch.ones(1, 1)
    >>> nearly_poisson = ZINB(torch.zeros(1, 1), 1e4 * one, -50 * one)
    >>> round(zinb_loss(nearly_poisson, 0 * one, torch.ones(1)).item(), 3)
    1.0
    """
    dispersion, logits = zinb.dispersion.float(), zinb.logits.float()
    log_mean = zinb.log_mean.float() + size_factors.clamp_min(_MEAN[0]).log()[:, None]
    ratio = log_mean - dispersion.log()
    zero = -dispersion * softplus(ratio)
    combinations = torch.lgamma(counts + dispersion) - torch.lgamma(dispersion) - torch.lgamma(counts + 1.0)
    negative_binomial = zero + combinations - counts * softplus(-ratio)
    at_zero = torch.logaddexp(logsigmoid(logits), logsigmoid(-logits) + zero)
    above = logsigmoid(-logits) + negative_binomial
    return -torch.where(counts > 0, above, at_zero).mean()
