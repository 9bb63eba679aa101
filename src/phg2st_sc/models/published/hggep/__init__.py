"""HGGEP."""

from .model import HGGEP

__all__ = ["HGGEP"]
