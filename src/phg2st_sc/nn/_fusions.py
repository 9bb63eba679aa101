"""Names of the fusions."""

from __future__ import annotations

from torch import nn

from ._fusion import PaperFusion

FUSIONS: dict[str, type[nn.Module]] = {"paper": PaperFusion}
"""Fusions by name: modules made from a :class:`NetworkConfig`, from :class:`FusionInput` to (r, d)."""
