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
from ._run import HONEST, PUBLISHED, FoldData, Scoring
from ._store import UnitStore
from ._summary import find_methods, summarize_benchmark
from ._units import SentSections, make_units, run_units, run_units_on

__all__ = [
    "HONEST",
    "PATIENT",
    "PUBLISHED",
    "Fold",
    "FoldData",
    "MethodSpec",
    "Scoring",
    "Section",
    "SentSections",
    "UnitStore",
    "choose_genes",
    "describe_settings",
    "find_methods",
    "make_folds",
    "make_units",
    "method_specs",
    "most_variable",
    "open_sections",
    "picture_mark",
    "run_units",
    "run_units_on",
    "section_mark",
    "summarize_benchmark",
]
