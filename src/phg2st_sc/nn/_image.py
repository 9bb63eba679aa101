"""Image tokens of a slide: what networks share before any prompt is seen."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ._context import ContextEncoder
from ._slide import SlideTensors
from ._spots import SpotEncoder

CHUNK = 512
"""Spots whose surroundings are encoded at a time."""


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """Tokens that do not depend on prompts, at r spots: compute once, predict for many masks."""

    rows: Tensor
    positions: Tensor
    spots: Tensor | None
    context: Tensor | None
    known: Tensor | None


def tokens_in_chunks(
    spots: SpotEncoder | None, context: ContextEncoder | None, slide: SlideTensors, chunk: int = CHUNK
) -> ImageTokens:
    """Tokens of the whole slide, a chunk of spots after the other in the context branch."""
    rows = torch.arange(slide.n_spots, device=slide.positions.device)
    parts = [] if context is None else [context(slide, part) for part in rows.split(chunk)]
    return ImageTokens(
        rows,
        slide.positions,
        None if spots is None else spots(slide),
        torch.cat([tokens for tokens, _ in parts]) if parts else None,
        torch.cat([there for _, there in parts]) if parts else None,
    )
