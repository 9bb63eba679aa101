"""Which features of an object are genes: antibodies, control probes, blanks, guides and what no gene owns are not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from .._warn import warn_user

if TYPE_CHECKING:
    from anndata import AnnData

GexOnly = bool | str | None
"""``None``: genes only, and told of. ``True``: genes only. ``False``: every feature. A name: the bool column of var."""

_TYPE_COLUMNS = ("feature_types", "feature_type", "Type")
"""Columns of var with the kind of a feature: as scanpy and spatialdata-io, R, and DropletUtils write it."""
_GENE = "gene expression"
_NO_GENES = frozenset(
    {
        "antibody capture",
        "antigen capture",
        "blank codeword",
        "crispr guide capture",
        "custom",
        "deprecated codeword",
        "genomic control",
        "multiplexing capture",
        "negative control codeword",
        "negative control probe",
        "peaks",
        "spike in",
        "unassigned codeword",
    }
)
"""Kinds that are no genes, in a column that does not say which features are."""
_BY_NAME = "by name"

# Whole names, upper or lower case, with "-" also as R writes it. Each has a digit, an underscore or a word that no gene
# symbol has: BLNK, NEGR1, ERCC1, ANTXR1 and the fly's blanks are genes.
_PATTERNS = (
    r"(neg(ative)?control(probe|codeword)|(unassigned|deprecated|blank)codeword|genomiccontrol)[-_. ].+",  # Xenium
    r"(antisense|intergenic_region)_.+",  # Xenium
    r"blank[-_. ]?\d+",  # Xenium, MERSCOPE
    r"(negprb|negative|systemcontrol|falsecode)[-_. ]?\d+",  # CosMx
    r"neg(ative)?[ _]?probe([-_. ].+)?",  # GeoMx
    r"deprecated_.+",  # probes of Visium that were withdrawn
    r"x?_*(ambiguous[\[.(].+|no_feature|too_low_aqual|not_aligned|alignment_not_unique)",  # htseq-count
    r"x?__ambiguous.*",
    r"ercc[-_.]\d{5}",  # spike-ins
    r".+[-_. ]totalseq[-_. ]?[abcd]",  # antibodies
    r"(.+[-_. ])?(non|safe)[-_. ]?targeting([-_. ].+)?",  # guides
)
_NAMES = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)


def is_gene(var: pd.DataFrame, gex_only: GexOnly = None) -> NDArray[np.bool_]:
    """Return which features count as genes.

    Parameters
    ----------
    var
        Features, by name.
    gex_only
        See :data:`GexOnly`.

    Returns
    -------
    (len(var),) boolean array.

    Raises
    ------
    KeyError
        There is no such column.
    TypeError
        The column is not boolean, or ``gex_only`` is none of these.
    ValueError
        No feature is a gene.
    """
    if isinstance(gex_only, str):
        genes = _marked(var, gex_only)
    elif gex_only is None or isinstance(gex_only, (bool, np.bool_)):
        genes = (
            np.ones(len(var), dtype=bool) if gex_only is not None and not gex_only else _kinds(var).isna().to_numpy()
        )
    else:
        raise TypeError(f"gex_only={gex_only!r} is True, False or the name of a bool column of var.")
    if len(var) and not genes.any():
        kinds = "var column" if isinstance(gex_only, str) else quoted(_kinds(var).unique())
        msg = f"None of the {len(var)} features is a gene ({kinds}): pass gex_only=False to take all of them as genes."
        raise ValueError(msg)
    return genes


def say_no_genes(tables: Sequence[AnnData], gex_only: GexOnly) -> None:
    """Warn, once for all tables, of features that are left out, where the call did not say what to do with them."""
    if gex_only is not None:
        return
    for table in tables:
        kinds = _kinds(table.var).dropna()
        if 0 < len(kinds) < table.n_vars:  # where nothing is a gene an error says so
            warn_user(_left_out(table, kinds))
            break
    for table in tables:
        genomes = _genomes(table.var)
        if len(genomes) > 1:
            warn_user(_mixed(genomes))
            break


def refuse_no_genes(names: Sequence[str] | pd.Index) -> None:
    """Raise where some names are asked for that are no genes."""
    if len(names):
        msg = (
            f"{len(names)} of the genes asked for are no genes ({quoted(names)}) and are not part of the totals: pass "
            "gex_only=False to count every feature, or the name of a bool column of var that marks the genes."
        )
        raise ValueError(msg)


def _kinds(var: pd.DataFrame) -> pd.Series:
    """Kind of each feature that is no gene; a gap for a gene."""
    kinds = pd.Series([None] * len(var), index=range(len(var)), dtype=object)
    column = next((one for one in _TYPE_COLUMNS if one in var), None)
    if column is not None:
        kinds = _by_type(var[column])
    named = np.array([_NAMES.fullmatch(str(name)) is not None for name in var.index], dtype=bool)
    return kinds.where(~(named & kinds.isna().to_numpy()), _BY_NAME)


def _by_type(column: pd.Series) -> pd.Series:
    values = pd.Series(column.to_numpy(dtype=object))
    plain = values.astype(str).str.casefold().str.replace(r"[-_]", " ", regex=True)
    said = values.notna() & (plain != "")
    other = said & (plain != _GENE) if (plain == _GENE).any() else plain.isin(_NO_GENES)
    return values.where(other, None)


def _marked(var: pd.DataFrame, column: str) -> NDArray[np.bool_]:
    if column not in var:
        msg = f"gex_only={column!r} is no column of var; there are: {quoted(var.columns) or 'none'}."
        raise KeyError(msg)
    values = var[column]
    if not pd.api.types.is_bool_dtype(values.dtype) or values.isna().any():
        msg = (
            f"var[{column!r}] is of dtype {values.dtype}, not bool without gaps: pass a column that marks the genes, e.g. "
            f"`data.var['gene'] = data.var[{column!r}] == 'Gene Expression'` and gex_only='gene'."
        )
        raise TypeError(msg)
    return values.to_numpy(dtype=bool)


def _left_out(table: AnnData, kinds: pd.Series) -> str:
    parts = [
        f"{len(rows)} {'by their names' if kind == _BY_NAME else f'of type {kind!r}'} ({quoted(table.var_names[rows.index])})"
        for kind, rows in kinds.groupby(kinds, sort=False)
    ]
    return (
        f"{len(kinds)} of {table.n_vars} features are no genes and are left out of totals, panels and predictions: "
        f"{', '.join(parts)}. Pass gex_only=False to count them too, gex_only=True to leave them out without this message, "
        "or the name of a bool column of var that marks the genes."
    )


def _genomes(var: pd.DataFrame) -> list[str]:
    if _keys.GENOME not in var:
        return []
    values = var[_keys.GENOME][_kinds(var).isna().to_numpy()].dropna().astype(str).unique()
    return [value for value in values if value]


def _mixed(genomes: Sequence[str]) -> str:
    return (
        f"Genes of {len(genomes)} genomes ({quoted(genomes)}) are counted together, and a spot's total is over all of them. "
        f"To work with one, mark its genes, `data.var['mine'] = data.var['genome'] == {genomes[0]!r}`, and pass "
        "gex_only='mine'; gex_only=True counts them together without this message."
    )
