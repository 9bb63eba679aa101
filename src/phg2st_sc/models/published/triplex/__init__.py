"""TRIPLEX."""

from .model import TRIPLEX

__all__ = ["TRIPLEX"]
