"""The networks that predict gene components from prompts, places and image; a committee of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from ....nn import HypergraphBlock, NetworkConfig, PromptEmbedding, in_full_precision
from .attention import PromptAttention
from .kriging_head import KrigingHead, component_groups
from .tensors import Evidence, SlideInput

_LARGEST = 5.0
_ROWS = 1024
"""Spots that are predicted at a time."""
_FACTS = 3


class ComponentNetwork(nn.Module):
    """Predicts k gene components at every spot.

    Tokens of the spots, from the image where there is one, look at the prompts in transformer blocks; a linear head reads a
    prediction off them, and what it leaves at the prompts is kriged. No spot sees its own measurement before that, so that
    what is left is left by a prediction from the other prompts. Untrained, it is kriging.

    Parameters
    ----------
    config
        Sizes; ``n_features`` is the width of the image tokens' input, 0 where images only guide attention and kriging.
    scale
        (k,) standard deviation of the signal in each component: decides which components share a group.
    """

    def __init__(self, config: NetworkConfig, scale: Tensor) -> None:
        super().__init__()
        k, width = config.n_genes, config.width
        self.config = config
        self.image = _image_tokens(config) if config.n_features else None
        convolved = config.n_features and config.hypergraph
        self.hypergraph = (
            HypergraphBlock(width, config.hypergraph_width, dropout=config.graph_dropout) if convolved else None
        )
        self.no_image = nn.Parameter(torch.zeros(width))
        self.norm_image = nn.LayerNorm(width)
        self.measured = PromptEmbedding(2 * k, width, dropout=config.prompt_dropout)
        self.facts = nn.Linear(_FACTS, width)
        self.blocks = nn.ModuleList(
            PromptAttention(width, config.fusion_heads, mlp_ratio=config.mlp_ratio, dropout=config.dropout)
            for _ in range(config.propagation_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, k)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.residual = KrigingHead(width, component_groups(scale), kernel_width=config.kernel_width)

    def forward(self, slide: SlideInput, evidence: Evidence) -> tuple[Tensor, Tensor]:
        """(n, k) prediction, and that of the head alone, in standard deviations of the components."""
        level = _level(evidence)
        image, prompts = self._image(slide), self._prompts(evidence, level)
        prompts = prompts if image is None else prompts + image[evidence.index]
        at_prompts = self._tokens(slide, image, prompts, evidence, evidence.index)
        left = evidence.observed - level - self.head(at_prompts)
        z = self.residual.project(at_prompts).double()
        among = self.residual.kernel(*_apart(slide, evidence.index, evidence.index), z, z)
        weights = self.residual.weights(among, left, evidence.noise)
        whole, alone = [], []
        for rows in torch.arange(slide.n_spots, device=evidence.index.device).split(_ROWS):
            tokens = self._tokens(slide, image, prompts, evidence, rows)
            head = self.head(tokens)
            there = self.residual.project(tokens).double()
            kriged = self.residual.kernel(*_apart(slide, rows, evidence.index), there, z) @ weights
            alone.append(head + level)
            whole.append(head + level + kriged.to(head.dtype))
        return torch.cat(whole), torch.cat(alone)

    def _image(self, slide: SlideInput) -> Tensor | None:
        """(n, d) tokens of the image; ``None`` where there is none to look at."""
        if self.image is None or slide.features is None:
            return None
        features = slide.features
        held = isinstance(features, Tensor)
        tokens = self.image(features) if held else features.map(self.image, slide.positions.device)
        if self.hypergraph is not None:
            tokens = self.hypergraph(tokens, lambda x: in_full_precision(slide.propagation, x))
        return self.norm_image(tokens)

    def _prompts(self, evidence: Evidence, level: Tensor) -> Tensor:
        """(p, d). Levels differ from slide to slide, so all are told relative to the mean of the prompts."""
        share = 1.0 / (1.0 + evidence.noise)
        observed = share * (evidence.observed - level).clamp(-_LARGEST, _LARGEST)
        return self.measured(torch.cat([observed, share], dim=1))

    def _tokens(
        self, slide: SlideInput, image: Tensor | None, prompts: Tensor, evidence: Evidence, rows: Tensor
    ) -> Tensor:
        """(r, d) tokens of some spots that have looked at the prompts."""
        away, unlike = _apart(slide, rows, evidence.index)
        own = rows[:, None] == evidence.index
        start = self.no_image if image is None else image[rows]
        x = start + self.facts(_facts(away, own, evidence, slide.n_spots))
        for block in self.blocks:
            x = block(x, prompts, away, unlike, own)
        return self.norm(x)


def _image_tokens(config: NetworkConfig) -> nn.Sequential:
    width = config.width
    return nn.Sequential(
        nn.Linear(config.n_features, width), nn.GELU(), nn.Dropout(config.dropout), nn.Linear(width, width)
    )


def _level(evidence: Evidence) -> Tensor:
    share = 1.0 / (1.0 + evidence.noise)
    return (share * evidence.observed).sum(dim=0) / share.sum(dim=0)


def _apart(slide: SlideInput, rows: Tensor, index: Tensor) -> tuple[Tensor, Tensor | None]:
    """(r, p) distances in pitches and unlikeness between spots and prompts; none of it is learned."""
    with torch.no_grad():
        exact = {"compute_mode": "donot_use_mm_for_euclid_dist"}
        away = torch.cdist(slide.positions[rows], slide.positions[index], **exact)
        looks = slide.looks
        return away, None if looks is None else torch.cdist(looks[rows], looks[index], **exact)


def _facts(away: Tensor, own: Tensor, evidence: Evidence, n: int) -> Tensor:
    """(r, 3): distance to the nearest other prompt, share and depth of the prompts."""
    nearest = torch.log1p(torch.where(own, math.inf, away).amin(dim=1).clamp_max(1e3))
    share = math.log(len(evidence.index) / n) / 2.0 + 1.0
    depth = math.log1p(evidence.depth) / 3.0 - 2.0
    return torch.stack([nearest, torch.full_like(nearest, share), torch.full_like(nearest, depth)], dim=1)


class Committee(nn.Module):
    """Several networks that were trained apart, each without some of the patients; their mean is predicted.

    Parameters
    ----------
    config
        Sizes of each.
    scale
        (k,) standard deviation of the signal in each component.
    n
        How many.
    """

    def __init__(self, config: NetworkConfig, scale: Tensor, n: int) -> None:
        super().__init__()
        self.config = CommitteeConfig(config, n)
        self.networks = nn.ModuleList(ComponentNetwork(config, scale) for _ in range(n))

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """A committee that weights are loaded into, among them the groups of the components."""
        sizes = dict(config)
        n = sizes.pop("networks")
        made = NetworkConfig.of_record(sizes)
        return cls(made, torch.ones(made.n_genes), n)

    def forward(self, slide: SlideInput, evidence: Evidence) -> Tensor:
        """Mean prediction (n, k)."""
        return torch.stack([network(slide, evidence)[0] for network in self.networks]).mean(dim=0)


class CommitteeConfig:
    """Sizes of the networks, and how many there are."""

    def __init__(self, config: NetworkConfig, n: int) -> None:
        self.config, self.n = config, n

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same committee can be made."""
        return {**self.config.as_dict(), "networks": self.n}
