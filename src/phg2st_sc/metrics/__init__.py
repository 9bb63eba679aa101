"""Scores on arrays: targets, correlations, the noise ceiling, and the one function that scores a section.

Everything that prints or plots a score goes through :func:`score_section`, so the scoring rules live once.
"""

from ._ceiling import ceiling_of, noise_ceiling
from ._correlation import ccc, mae, partial_pcc, pcc
from ._published import published_counts, score_published, smooth_published
from ._section import SCORES, score_section
from ._summary import summarise
from ._targets import (
    depth_free_target,
    lognorm_target,
    neighbour_mean,
    neighbour_operator,
    pearson_residuals,
    predicted_rate,
    predicted_share,
    share_target,
)

__all__ = [
    "SCORES",
    "ccc",
    "ceiling_of",
    "depth_free_target",
    "lognorm_target",
    "mae",
    "neighbour_mean",
    "neighbour_operator",
    "noise_ceiling",
    "partial_pcc",
    "pcc",
    "pearson_residuals",
    "predicted_rate",
    "predicted_share",
    "published_counts",
    "score_published",
    "score_section",
    "share_target",
    "smooth_published",
    "summarise",
]
