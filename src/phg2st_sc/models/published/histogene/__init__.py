"""HisToGene."""

from .model import HisToGene

__all__ = ["HisToGene"]
