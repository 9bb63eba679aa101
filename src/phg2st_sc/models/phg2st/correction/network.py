"""The network that corrects a linear prediction: what it may look at, and its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import torch
from torch import Tensor, nn

from ....nn import (
    FUSIONS,
    ContextEncoder,
    FusionInput,
    ImageTokens,
    NetworkConfig,
    PromptEmbedding,
    SlideTensors,
    SpotEncoder,
    tokens_in_chunks,
)
from .kriging_head import KrigingHead, component_groups, noise_free_share

_LARGEST = 5.0
"""Inputs are clipped at so many standard deviations."""
_FACTS = 4
"""Numbers beside the components that every spot's token is told."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a linear part knows of a slide after seeing p prompts, in k components of unit signal variance.

    Attributes
    ----------
    index
        (p,) int64, the prompts.
    observed
        (p, k) measurements.
    noise
        (p, k) their noise variance.
    left_out
        (p, k) linear prediction at each prompt from the others.
    predicted
        (n, k) linear prediction at every spot.
    spread
        (n,) remaining share of the signal variance.
    depth
        Scalar, counts of the median prompt.
    """

    index: Tensor
    observed: Tensor
    noise: Tensor
    left_out: Tensor
    predicted: Tensor
    spread: Tensor
    depth: Tensor

    def to(self, device: Any) -> Evidence:
        """The same on another device."""
        return Evidence(*(getattr(self, field.name).to(device) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class SlideTokens:
    """Image side of a slide under the network, computed once for many draws of prompts."""

    image: ImageTokens
    looks: Tensor | None
    slide: SlideTensors


class CorrectionNetwork(nn.Module):
    """Corrects a linear prediction from image and prompts; untrained, its correction is exactly zero.

    Every spot has the published image tokens, and a prompt token: what was measured, weighted by its precision, or a
    learned mask token where nothing was; the linear prediction and how sure it is; depth, the distance to the nearest
    prompt and the share of prompts. ``config.fusion`` joins them. A linear head reads the correction off the joint tokens,
    and what it leaves at the prompts is spread by :class:`KrigingHead`.

    Parameters
    ----------
    config
        Sizes; ``n_genes`` is the number of components k.
    scale
        (k,) standard deviation of the signal in each component: decides which components share a group.
    """

    def __init__(self, config: NetworkConfig, scale: Tensor) -> None:
        super().__init__()
        k, width = config.n_genes, config.width
        self.config = config
        self.spots = SpotEncoder(config) if config.uses_spots else None
        self.context = ContextEncoder(config) if config.uses_context else None
        self.measured = PromptEmbedding(2 * k, width, dropout=config.prompt_dropout)
        self.mask = nn.Parameter(0.02 * torch.randn(width))
        self.flag = nn.Parameter(0.02 * torch.randn(width))
        self.expected = PromptEmbedding(k + _FACTS, width, dropout=config.prompt_dropout)
        self.fusion = FUSIONS[config.fusion](config)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, k)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        groups = component_groups(scale)
        self.residual = KrigingHead(width, groups, kernel_width=config.kernel_width) if config.residual_head else None

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """A network that weights are loaded into, among them the groups of the components."""
        made = NetworkConfig(**config)
        return cls(made, torch.ones(made.n_genes))

    def forward(self, slide: SlideTensors, evidence: Evidence) -> Tensor:
        """Correction (n, k), in standard deviations of the components."""
        return self.correct(self.tokens(slide), evidence)

    def tokens(self, slide: SlideTensors) -> SlideTokens:
        """Image side alone."""
        encoder = self.spots or self.context
        looks = None
        if slide.features is not None and self.config.histology and encoder is not None:
            looks = encoder.input.standardized(slide.features)
        return SlideTokens(tokens_in_chunks(self.spots, self.context, slide), looks, slide)

    def correct(self, tokens: SlideTokens, evidence: Evidence) -> Tensor:
        """Correction (n, k) from image tokens and prompts; zero without prompts."""
        if len(evidence.index) == 0:
            return torch.zeros_like(evidence.predicted)
        image, index = tokens.image, evidence.index
        shown = torch.zeros(len(image.rows), dtype=torch.bool, device=index.device).index_fill(0, index, value=True)
        given = FusionInput(
            self._prompt_tokens(evidence, shown, image.positions),
            shown,
            image.positions,
            image.spots,
            image.context,
            image.known,
            tokens.slide.propagation,
            tokens.looks,
        )
        joint = self.norm(self.fusion(given))
        correction = self.head(joint)
        if self.residual is None:
            return correction
        left = evidence.observed - evidence.left_out - correction[index]
        return correction + self.residual(joint, image.positions, index, left, evidence.noise)

    def _prompt_tokens(self, evidence: Evidence, shown: Tensor, positions: Tensor) -> Tensor:
        """(n, d). Levels differ from slide to slide, so all are told relative to the mean of the prompts."""
        share = noise_free_share(evidence.noise)
        level = (share * evidence.observed).sum(dim=0) / share.sum(dim=0)
        observed = share * _clipped(evidence.observed - level)
        surprise = share * _clipped(evidence.observed - evidence.left_out)
        measured = self.measured(torch.cat([observed, surprise], dim=1)) + self.flag
        expected = evidence.predicted.index_copy(0, evidence.index, evidence.left_out)
        facts = torch.cat([_clipped(expected - level), _facts(evidence, shown, positions)], dim=1)
        own = self.mask.expand(len(shown), -1).index_copy(0, evidence.index, measured.to(self.mask.dtype))
        return own + self.expected(facts)

    def initialize(self, mean: Tensor, scale: Tensor) -> None:
        """Standardise features (F,) by those of the training slides."""
        with torch.no_grad():
            for branch in (self.spots, self.context):
                if branch is not None:
                    branch.input.standardize(mean, scale)


def _facts(evidence: Evidence, shown: Tensor, positions: Tensor) -> Tensor:
    """(n, 4): how sure the linear part is, distance to the nearest prompt, depth and share of the prompts."""
    nearest = torch.cdist(positions, positions[evidence.index]).amin(dim=1)
    share = torch.log(shown.to(positions.dtype).mean())
    depth = torch.log1p(evidence.depth.to(positions.dtype))
    common = torch.stack([depth / 3.0 - 2.0, share / 2.0 + 1.0]).expand(len(positions), -1)
    return torch.cat([torch.stack([evidence.spread, torch.log1p(nearest)], dim=1), common], dim=1)


def _clipped(x: Tensor) -> Tensor:
    return x.clamp(-_LARGEST, _LARGEST)
