"""PHG2ST as published: a network in which a prompt moves no prediction but its own."""

from .model import PHG2STPaper

__all__ = ["PHG2STPaper"]
