"""Hist2ST."""

from .model import Hist2ST

__all__ = ["Hist2ST"]
