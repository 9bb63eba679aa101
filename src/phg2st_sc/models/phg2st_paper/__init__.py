"""PHG2ST as published: a network in which a prompt moves no prediction but its own."""

from .form import PublishedForm

__all__ = ["PublishedForm"]
