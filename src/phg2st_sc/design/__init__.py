"""Which spots to measure next, and what accuracy to expect of how many: arrays in, arrays out."""

from ._greedy import Chosen
from ._suggest import suggest
from ._survey import Survey

__all__ = ["Chosen", "Survey", "suggest"]
