"""Features that come from expression are not taken for features of the image, as far as their names tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pandas as pd

from .._reading import named_by_expression
from .._text import quoted

if TYPE_CHECKING:
    from anndata import AnnData

    from ..encoders import FeatureFile

_COUNTS = re.compile(r"total_counts|n_counts|n_genes|pct_counts_|log1p_|ncount_|nfeature_", re.IGNORECASE)
"""What scanpy and Seurat call the counts of a spot."""


def check_from_image(name: str, rep: str) -> None:
    """Refuse an encoder or a key that is called as what other packages compute from expression."""
    for option, value in (("encoder", name), ("key_added", rep)):
        if named_by_expression(value):
            msg = (
                f"`{option}={value!r}` is what features of expression are called, and they would leak the spots to be predicted. "
                f"If these come from the image, name what encoded them, e.g. `{option}={'uni' if option == 'encoder' else 'X_uni'!r}`."
            )
            raise ValueError(msg)


def check_columns(file: FeatureFile, table: AnnData) -> None:
    """Refuse a table whose columns are genes of the object, or counts of a spot."""
    genes, columns = _genes(table), file.columns
    # numbers that only count the columns say nothing, unless they are as many as genes that are only counted
    counted = columns == tuple(map(str, range(len(columns)))) and len(columns) != table.n_vars
    found = [] if counted else [c for c in columns if c in genes or _COUNTS.match(c)]
    if found:
        msg = (
            f"{file.where!r}: {len(found)} of {len(columns)} columns are genes of the object or counts of a spot ({quoted(found)}). "
            "Features of expression would leak the spots to be predicted: pass a table with only the columns of features of the image."
        )
        raise ValueError(msg)


def _genes(table: AnnData) -> set[str]:
    """Names of genes, and other names that ``var`` has for them, such as Ensembl ids."""
    others = [column for _, column in table.var.items() if not pd.api.types.is_numeric_dtype(column)]
    return {str(name) for names in (table.var_names, *others) for name in names}
