"""Compare methods on many sections: what is run, running it, keeping it, summing it up."""

from ._plan import (
    PATIENT,
    Fold,
    MethodSpec,
    Section,
    choose_genes,
    describe_settings,
    make_folds,
    method_specs,
    most_variable,
    open_sections,
    picture_mark,
    section_mark,
)
from ._run import HONEST, PUBLISHED, REFERENCE, FoldData, Scoring, guarded, run_method, run_references
from ._store import UnitStore
from ._summary import find_methods, summarize_benchmark

__all__ = [
    "HONEST",
    "PATIENT",
    "PUBLISHED",
    "REFERENCE",
    "Fold",
    "FoldData",
    "MethodSpec",
    "Scoring",
    "Section",
    "UnitStore",
    "choose_genes",
    "describe_settings",
    "find_methods",
    "guarded",
    "make_folds",
    "method_specs",
    "most_variable",
    "open_sections",
    "picture_mark",
    "run_method",
    "run_references",
    "section_mark",
    "summarize_benchmark",
]
