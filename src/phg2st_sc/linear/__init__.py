"""The linear core that the simple methods share: arrays in, arrays out.

``_rates`` and ``_working`` bring counts to the scale they are modelled on; ``_kernels``, ``_gaussian`` and ``_krige`` predict
by covariance; ``_gene_basis`` and ``_image_regression`` hold what genes and images have in common over slides, and
``_cohort`` how settings are chosen on training slides.
"""

from ._cohort import PRIOR_COUNTS, GeneLevels, check_training, choose_on_cohort, cohort_levels, episodes
from ._cohort_regression import (
    CohortRegression,
    LearnedRegression,
    Lesson,
    learn_cohort_regression,
    learn_regression,
    measured_spots,
    spot_weight,
)
from ._comparison import Record, join, record
from ._dispersion import NEIGHBOR_RADIUS, gene_spread
from ._episodes import EpisodeSource, Measured, TrainingEpisode
from ._field import Field
from ._folds import matched_folds
from ._gaussian import COMPONENT_RATIOS, RATIOS, Covariance, Skill, System
from ._gene_basis import GeneBasis, beyond, learn_gene_basis, prompt_gene_basis
from ._groups import groups, surrounding
from ._image_regression import Radial, within_slide
from ._image_space import (
    Rows,
    Standardized,
    blocks,
    feature_blocks,
    image_components,
    map_rows,
    require_features,
    standardized_features,
    sum_of,
)
from ._judge import MAX_JUDGED, even_subset, neighborhoods
from ._kernels import LENGTH_SCALES, MIXES, Kernel, Places
from ._krige import MAX_EXACT, choose, krige_columns, predict_columns
from ._landmarks import LEAST_SPOTS, without_spots
from ._left_out import MIN_TO_LEAVE_OUT, around_prompts, left_out_prompts
from ._posterior import posterior
from ._rates import N_LEVEL_GROUPS, RateScale, level_groups
from ._stretch import MIN_TO_CHOOSE, MIN_TO_LENGTHEN
from ._working import Working, gene_signal

__all__ = [
    "COMPONENT_RATIOS",
    "LEAST_SPOTS",
    "LENGTH_SCALES",
    "MAX_EXACT",
    "MAX_JUDGED",
    "MIN_TO_CHOOSE",
    "MIN_TO_LEAVE_OUT",
    "MIN_TO_LENGTHEN",
    "MIXES",
    "NEIGHBOR_RADIUS",
    "N_LEVEL_GROUPS",
    "PRIOR_COUNTS",
    "RATIOS",
    "CohortRegression",
    "Covariance",
    "EpisodeSource",
    "Field",
    "GeneBasis",
    "GeneLevels",
    "Kernel",
    "LearnedRegression",
    "Lesson",
    "Measured",
    "Places",
    "Radial",
    "RateScale",
    "Record",
    "Rows",
    "Skill",
    "Standardized",
    "System",
    "TrainingEpisode",
    "Working",
    "around_prompts",
    "beyond",
    "blocks",
    "check_training",
    "choose",
    "choose_on_cohort",
    "cohort_levels",
    "episodes",
    "even_subset",
    "feature_blocks",
    "gene_signal",
    "gene_spread",
    "groups",
    "image_components",
    "join",
    "krige_columns",
    "learn_cohort_regression",
    "learn_gene_basis",
    "learn_regression",
    "left_out_prompts",
    "level_groups",
    "map_rows",
    "matched_folds",
    "measured_spots",
    "neighborhoods",
    "posterior",
    "predict_columns",
    "prompt_gene_basis",
    "record",
    "require_features",
    "spot_weight",
    "standardized_features",
    "sum_of",
    "surrounding",
    "within_slide",
    "without_spots",
]
