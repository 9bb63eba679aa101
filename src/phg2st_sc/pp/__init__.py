"""Prepare objects: counts, gene panels, prompts, image embeddings."""

from __future__ import annotations

from .._deprecated import deprecated_names
from ._add_embeddings import add_embeddings
from ._add_targets import add_targets
from ._embeddings import extract_embeddings
from ._genes import select_genes
from ._hypergraph import build_hypergraph
from ._join_embeddings import join_embeddings
from ._normalize import normalize
from ._prompts import sample_prompts

__all__ = [
    "add_embeddings",
    "add_targets",
    "build_hypergraph",
    "extract_embeddings",
    "join_embeddings",
    "normalize",
    "sample_prompts",
    "select_genes",
]

__getattr__ = deprecated_names(
    __name__,
    nested_masks="prompts.nested_masks",
    register_strategy="prompts.register_strategy",
    sample_mask="prompts.sample_mask",
)
