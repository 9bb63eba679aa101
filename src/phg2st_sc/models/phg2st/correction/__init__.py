"""The learned correction: a network trained on what the linear prediction misses."""

from .model import Correction

__all__ = ["Correction"]
