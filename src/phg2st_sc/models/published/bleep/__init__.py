"""BLEEP."""

from .model import BLEEP

__all__ = ["BLEEP"]
