"""Which spots to measure next, and what accuracy to expect of how many: arrays in, arrays out."""

from ._accuracy import RANDOM, SUGGESTED, Belief, correlations
from ._expected import equally_deep, expected_correlation
from ._greedy import Chosen
from ._suggest import suggest
from ._survey import Survey

__all__ = [
    "RANDOM",
    "SUGGESTED",
    "Belief",
    "Chosen",
    "Survey",
    "correlations",
    "equally_deep",
    "expected_correlation",
    "suggest",
]
