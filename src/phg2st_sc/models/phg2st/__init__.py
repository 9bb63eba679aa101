"""PHG2ST, the default method: prompts, image and cohort together, every prompt reaching every spot."""

from .model import PHG2ST

__all__ = ["PHG2ST"]
