"""From an object and how it is read to arrays: counts, prompts, features, context, hypergraph, panel."""

from ._cohort import check_patient_key, choose_reps, feature_kinds, one_kind, same_features
from ._context import context_of
from ._counts import Matrix, check_counts, gene_columns, read_counts, read_rows, row_totals
from ._features import choose_rep, features_of, identity, why_ignored, without_features
from ._genes import THETA, common_genes, rank_genes
from ._hypergraph import hypergraph_update
from ._mask import full_mask
from ._measured import DEFAULT_TARGET_SUM, Measured, common_target_sum, read_measured
from ._panel import Panel, check_gene_names, model_panel, prompted_panel
from ._patches import SlidePatches, pixel_size
from ._reading import Reading
from ._slide_arrays import slide_arrays, training_slide

__all__ = [
    "DEFAULT_TARGET_SUM",
    "THETA",
    "Matrix",
    "Measured",
    "Panel",
    "Reading",
    "SlidePatches",
    "X",
    "check_counts",
    "check_gene_names",
    "check_patient_key",
    "choose_rep",
    "choose_reps",
    "common_genes",
    "common_target_sum",
    "context_of",
    "feature_kinds",
    "features_of",
    "full_mask",
    "gene_columns",
    "hypergraph_update",
    "identity",
    "model_panel",
    "one_kind",
    "pixel_size",
    "prompted_panel",
    "rank_genes",
    "read_counts",
    "read_measured",
    "read_rows",
    "row_totals",
    "same_features",
    "slide_arrays",
    "training_slide",
    "why_ignored",
    "without_features",
]
