"""From an object and how it is read to arrays: counts, prompts, features, context, hypergraph, panel."""

from ._cohort import check_patient_key, choose_reps, feature_kinds, measured_by_all, one_kind, same_features
from ._context import context_of
from ._counts import CountRows, check_counts, clear_columns, gene_columns, read_counts, read_rows
from ._feature_kinds import different, embedding_call, identity, same_kind
from ._features import (
    choose_rep,
    features_of,
    has_features,
    named_by_expression,
    why_ignored,
    without_features,
)
from ._genes import THETA, common_genes, rank_genes
from ._gex import GexOnly, is_gene
from ._hypergraph import hypergraph_update
from ._mask import full_mask, resolve_mask
from ._measured import DEFAULT_TARGET_SUM, Measured, check_target_sum, common_target_sum, find_unmeasured, read_measured
from ._panel import (
    Panel,
    check_asked,
    check_gene_names,
    known_columns,
    measured_somewhere,
    model_panel,
    prompted_panel,
    species_of_table,
)
from ._patches import SlidePatches, pixel_size
from ._pictures import pictures_of, warn_of_another_picture, warn_of_one_picture, warn_of_pictures
from ._reading import Reading
from ._slide_arrays import slide_arrays, training_slide
from ._source import Matrix, Source, open_source, row_totals
from ._unmeasured import genes_by_slide, never_measured

__all__ = [
    "DEFAULT_TARGET_SUM",
    "THETA",
    "CountRows",
    "GexOnly",
    "Matrix",
    "Measured",
    "Panel",
    "Reading",
    "SlidePatches",
    "Source",
    "check_asked",
    "check_counts",
    "check_gene_names",
    "check_patient_key",
    "check_target_sum",
    "choose_rep",
    "choose_reps",
    "clear_columns",
    "common_genes",
    "common_target_sum",
    "context_of",
    "different",
    "embedding_call",
    "feature_kinds",
    "features_of",
    "find_unmeasured",
    "full_mask",
    "gene_columns",
    "genes_by_slide",
    "has_features",
    "hypergraph_update",
    "identity",
    "is_gene",
    "known_columns",
    "measured_by_all",
    "measured_somewhere",
    "model_panel",
    "named_by_expression",
    "never_measured",
    "one_kind",
    "open_source",
    "pictures_of",
    "pixel_size",
    "prompted_panel",
    "rank_genes",
    "read_counts",
    "read_measured",
    "read_rows",
    "resolve_mask",
    "row_totals",
    "same_features",
    "same_kind",
    "slide_arrays",
    "species_of_table",
    "training_slide",
    "warn_of_another_picture",
    "warn_of_one_picture",
    "warn_of_pictures",
    "why_ignored",
    "without_features",
]
