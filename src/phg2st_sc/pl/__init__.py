"""Pictures: predictions over the tissue, how good they are and how far they can be believed, methods side by side."""

from __future__ import annotations

from ._benchmark import benchmark
from ._budget import budget
from ._coverage import coverage
from ._distance import distance
from ._fraction import fraction
from ._hypergraph import hypergraph
from ._prediction import prediction
from ._scores import scores
from ._suggested import suggested
from ._tiles import tiles
from ._training import training
from ._trust import trust

__all__ = [
    "benchmark",
    "budget",
    "coverage",
    "distance",
    "fraction",
    "hypergraph",
    "prediction",
    "scores",
    "suggested",
    "tiles",
    "training",
    "trust",
]
