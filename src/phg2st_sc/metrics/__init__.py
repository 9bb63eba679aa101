"""Scores on arrays: targets, correlations, the noise ceiling, and the one function that scores a section.

Everything that prints or plots a score goes through :func:`score_section`, so the scoring rules live once.
"""

from .._deprecated import deprecated_names
from ._autocorrelation import morans_i, morans_i_ratio
from ._ceiling import ceiling_of, noise_ceiling
from ._ceiling import half_correlations as half_correlations
from ._correlation import ccc, mae, partial_pcc, pcc
from ._extras import EXTRAS
from ._gene_correlation import GeneCorrelation, gene_correlation
from ._hotspots import hotspot_coverage, hotspot_kappa
from ._published import PUBLISHED_WARNING as PUBLISHED_WARNING
from ._published import published_counts, score_published, smooth_published
from ._section import SCORES, score_section
from ._ssim import ssim
from ._summary import summarize
from ._targets import (
    depth_free_target,
    lognorm_target,
    neighbor_mean,
    neighbor_operator,
    pearson_residuals,
    predicted_rate,
    predicted_share,
    share_target,
)

__all__ = [
    "EXTRAS",
    "SCORES",
    "GeneCorrelation",
    "ccc",
    "ceiling_of",
    "depth_free_target",
    "gene_correlation",
    "hotspot_coverage",
    "hotspot_kappa",
    "lognorm_target",
    "mae",
    "morans_i",
    "morans_i_ratio",
    "neighbor_mean",
    "neighbor_operator",
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
    "ssim",
    "summarize",
]

__getattr__ = deprecated_names(
    __name__,
    neighbour_mean="metrics.neighbor_mean",
    neighbour_operator="metrics.neighbor_operator",
    summarise="metrics.summarize",
)
