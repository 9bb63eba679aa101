"""The network: prompt embedding, spot and context branches, fusion, heads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from ...nn import (
    CHUNK,
    FUSIONS,
    ContextEncoder,
    FusionInput,
    ImageTokens,
    NetworkConfig,
    PromptEmbedding,
    SlideTensors,
    SpotEncoder,
    mean_of_known,
    tokens_in_chunks,
)

_SMALL_START = 0.1
"""Of the heads' weights: the first steps then need not undo what chance predicts."""


@dataclass(frozen=True, eq=False)
class NetworkOutput:
    """Predicted log-normalised expression (r, G) at r spots, of the whole and of the parts that are there."""

    joint: Tensor
    spots: Tensor | None = None
    context: Tensor | None = None
    prompt: Tensor | None = None

    @property
    def branches(self) -> list[Tensor]:
        """Predictions of the branches."""
        return [part for part in (self.spots, self.context, self.prompt) if part is not None]


class PHG2STNetwork(nn.Module):
    """Prompt-guided hypergraph network.

    Parameters
    ----------
    config
        Sizes and options; ``config.fusion`` names one of ``FUSIONS``.
    """

    @classmethod
    def of_config(cls, config: Mapping[str, Any]) -> Self:
        """A network that weights are loaded into."""
        return cls(NetworkConfig.of_record(config))

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        if config.fusion not in FUSIONS:
            msg = f"Unknown fusion {config.fusion!r}; available: {', '.join(sorted(FUSIONS))}."
            raise ValueError(msg)
        self.config = config
        self.prompt = PromptEmbedding(config.n_genes, config.width, dropout=config.prompt_dropout)
        self.spots = SpotEncoder(config) if config.uses_spots else None
        self.context = ContextEncoder(config) if config.uses_context else None
        self.fusion = FUSIONS[config.fusion](config)
        self.head = nn.Linear(config.width, config.n_genes)
        self.spot_head = nn.Linear(config.width, config.n_genes) if config.uses_spots else None
        self.context_head = nn.Linear(config.width, config.n_genes) if config.uses_context else None
        self.prompt_head = nn.Linear(config.width, config.n_genes) if config.prompt_head else None

    def forward(
        self, slide: SlideTensors, expression: Tensor, measured: Tensor, rows: Tensor | None = None
    ) -> NetworkOutput:
        """Predict expression.

        Parameters
        ----------
        slide
            Image side.
        expression
            (n, G) log-normalised expression; rows of unprompted spots are not read.
        measured
            (n,) bool, which spots are prompts.
        rows
            Spots to predict at; ``None`` for all.
        """
        return self.from_tokens(self.tokens(slide, rows), expression, measured)

    def spot_tokens(self, slide: SlideTensors) -> Tensor | None:
        """(n, d) tokens of the spot branch, which always sees the whole slide; ``None`` without it."""
        return None if self.spots is None else self.spots(slide)

    def tokens(self, slide: SlideTensors, rows: Tensor | None = None, *, spots: Tensor | None = None) -> ImageTokens:
        """Image side alone, independent of prompts; ``spots`` are :meth:`spot_tokens` where they are known already."""
        taken = torch.arange(slide.n_spots, device=slide.positions.device) if rows is None else rows
        everywhere = self.spot_tokens(slide) if spots is None else spots
        context, known = (None, None) if self.context is None else self.context(slide, rows)
        return ImageTokens(
            taken, slide.positions[taken], None if everywhere is None else everywhere[taken], context, known
        )

    def tokens_in_chunks(self, slide: SlideTensors, chunk: int = CHUNK) -> ImageTokens:
        """Tokens of the whole slide, a chunk of spots after the other in the context branch."""
        return tokens_in_chunks(self.spots, self.context, slide, chunk)

    def from_tokens(self, tokens: ImageTokens, expression: Tensor, measured: Tensor) -> NetworkOutput:
        """Predict from image tokens and the prompts of the slide (n, G)."""
        shown = measured[tokens.rows]
        # not a product: what stands in unprompted rows, NaN included, must not matter
        masked = torch.where(shown[:, None], expression[tokens.rows], 0.0)
        phi = self.prompt(masked)
        joint = self.fusion(FusionInput(phi, shown, tokens.positions, tokens.spots, tokens.context, tokens.known))
        return NetworkOutput(
            joint=self.head(joint),
            spots=None if self.spot_head is None else self.spot_head(tokens.spots),
            context=None if self.context_head is None else self.context_head(_mean(tokens)),
            prompt=None if self.prompt_head is None else self.prompt_head(phi),
        )

    def initialize(self, mean: Tensor, scale: Tensor, expression: Tensor) -> None:
        """Start from training statistics: standardise features, and let the heads start near the mean expression (G,)."""
        with torch.no_grad():
            for branch in (self.spots, self.context):
                if branch is not None:
                    branch.input.standardize(mean, scale)
            for head in (self.head, self.spot_head, self.context_head, self.prompt_head):
                if head is not None:
                    head.bias.copy_(expression)
                    head.weight.mul_(_SMALL_START)


def _mean(tokens: ImageTokens) -> Tensor:
    if tokens.context is None or tokens.known is None:
        raise ValueError("No context tokens.")
    return mean_of_known(tokens.context, tokens.known)
