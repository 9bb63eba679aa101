"""Zero-inflated negative binomial likelihood of raw counts."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus

_MEAN = (1e-5, 1e6)
_DISPERSION = (1e-4, 1e4)
_LIKELY_MEAN = (1e-3, 1e5)
"""Bounds of means at the start, well within those at which the gradient ends."""


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
