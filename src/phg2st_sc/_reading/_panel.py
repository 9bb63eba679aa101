"""Which genes a method works with, and where they stand in the object."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._arrays import Prompts
from .._slide import is_true
from .._species import species_or_other
from .._text import quoted
from .._warn import warn_user
from ._counts import gene_columns, refuse_lacking
from ._gex import refuse_no_genes
from ._measured import Measured

if TYPE_CHECKING:
    from anndata import AnnData


logger = logging.getLogger("phg2st_sc")

MIN_DETECTED = 3
"""Prompts in which a gene must have a count to enter the default panel."""
_ROWS = 1024
"""Prompts whose genes are picked at a time."""
MIN_FOUND = 0.5
"""Share of a model's genes that an object must have."""


@dataclass(frozen=True, eq=False)
class Panel:
    """Genes of a method, in its order.

    Attributes
    ----------
    genes
        G names, as the method knows them.
    columns
        (G,) int64, their columns in the table; -1 for those that the table lacks.
    """

    genes: tuple[str, ...]
    columns: NDArray[np.int64]

    def lacking(self, measured: Measured) -> NDArray[np.bool_]:
        """Which of its genes stand in the object, and were not measured on a slide."""
        return (self.columns >= 0) & measured.lacking[self.columns]

    def take(self, keep: NDArray[np.bool_]) -> Panel:
        """The panel of some of its genes."""
        genes = tuple(gene for gene, kept in zip(self.genes, keep, strict=True) if kept)
        return Panel(genes, self.columns[keep])

    def among(self, genes: NDArray[np.bool_]) -> Panel:
        """The panel, where features of the object that are no genes count as lacking."""
        there = self.columns >= 0
        return Panel(self.genes, np.where(there & genes[self.columns], self.columns, -1))

    def shown(self, table: AnnData, wanted: Sequence[str] | None) -> NDArray[np.int64]:
        """Positions in the panel of the genes to return, named as in the table; ``None`` for all that it has."""
        if wanted is None:
            return np.flatnonzero(self.columns >= 0)
        place = {column: position for position, column in enumerate(self.columns) if column >= 0}
        columns = gene_columns(table, wanted)
        missing = [gene for gene, column in zip(wanted, columns, strict=True) if column not in place]  # type: ignore[arg-type]
        if missing:
            msg = f"The model does not predict {len(missing)} of the genes asked for ({quoted(missing)})."
            raise KeyError(msg)
        return np.array([place[column] for column in columns], dtype=np.int64)  # type: ignore[union-attr]

    def prompts(self, measured: Measured, target_sum: float) -> Prompts:
        """Prompts over the panel; genes that the object lacks have no counts."""
        present = np.flatnonzero(self.columns >= 0)
        counts = np.zeros((measured.index.size, len(self.genes)), dtype=np.float32)
        for start in range(0, len(counts), _ROWS):
            found = measured.counts[start : start + _ROWS][:, self.columns[present]]
            counts[start : start + _ROWS, present] = found.toarray() if hasattr(found, "toarray") else found
        lacking = np.flatnonzero((self.columns < 0) | self.lacking(measured))
        return Prompts(measured.index, counts, measured.totals, target_sum, self.genes, lacking)


def check_gene_names(genes: Sequence[str] | None, *, argument: str = "genes") -> None:
    """Raise when ``genes`` is one name, none, or holds a name more than once."""
    if genes is None:
        return
    if isinstance(genes, str):
        msg = f"`{argument}` is a list of names: pass `{argument}=[{genes!r}]`."
        raise TypeError(msg)
    if not len(genes):
        raise ValueError(f"`{argument}` is empty: name at least one gene, or leave it out for all.")
    names = pd.Index(list(genes))
    if all(isinstance(name, (bool, np.bool_)) for name in names):
        msg = f"`{argument}` is a list of names, and got a mask: pass `{argument}=data.var_names[mask]`."
        raise TypeError(msg)
    if not names.is_unique:
        msg = f"`{argument}` names some more than once: {quoted(names[names.duplicated()].unique())}."
        raise ValueError(msg)


def measured_somewhere(measured: Sequence[Measured]) -> NDArray[np.bool_]:
    """Which features are genes that some slide measured."""
    return measured[0].genes & ~np.all([one.lacking for one in measured], axis=0)


def check_asked(table: AnnData, measured: Sequence[Measured], wanted: Sequence[str] | None) -> None:
    """Raise where features are asked for that are no genes, or that no slide measured."""
    if wanted is None:
        return
    genes, somewhere = measured[0].genes, measured_somewhere(measured)
    asked = np.asarray(gene_columns(table, wanted))
    refuse_no_genes(table.var_names[asked[~genes[asked]]])
    refuse_lacking(table.var_names[asked[~somewhere[asked]]])


def prompted_panel(table: AnnData, measured: Sequence[Measured], wanted: Sequence[str] | None) -> Panel:
    """Genes that a single-slide method works with.

    The panel that ``pp.select_genes`` marked, else the genes with counts in at least three prompts (of all slides
    together, or in every prompt when there are fewer), and in any case those asked for.
    """
    if _keys.PANEL in table.var:
        keep = is_true(table.var[_keys.PANEL])
    else:
        detected = sum(np.asarray((m.counts > 0).sum(axis=0)).ravel() for m in measured)
        n_prompts = sum(m.index.size for m in measured)
        keep = np.asarray(detected) >= max(1, min(MIN_DETECTED, n_prompts))
    keep = keep & measured_somewhere(measured)
    if wanted is not None:
        keep[gene_columns(table, wanted)] = True
    columns = np.flatnonzero(keep)
    if columns.size < 2:
        msg = (
            f"{columns.size} gene(s) of {table.n_vars} have counts in at least {MIN_DETECTED} prompts, and predictions need two: "
            "a gene is predicted relative to the others. Measure more spots or keep more genes in the object."
        )
        raise ValueError(msg)
    return Panel(tuple(table.var_names[columns]), columns)


def model_panel(table: AnnData, genes: Sequence[str], *, gene_key: str | None = None) -> Panel:
    """Find the genes of a fitted model in an object, whatever their order and whatever else it holds.

    Parameters
    ----------
    table
        Table annotating the spots.
    genes
        Genes of the model, in order.
    gene_key
        Column of ``var`` with the names that the model uses. ``None``: ``var_names``, unless fewer than half of the genes
        are found there and a column of ``var``, or Ensembl ids less their version, has more.

    Raises
    ------
    KeyError
        If ``gene_key`` does not exist, or fewer than half of the genes are found.

    Warns
    -----
    UserWarning
        If some genes are missing: the method sees no counts of them, and they are not predicted.
    """
    source, columns = _best_match(table, genes, gene_key)
    missing = [gene for gene, column in zip(genes, columns, strict=True) if column < 0]
    if len(missing) > (1.0 - MIN_FOUND) * len(genes):
        msg = (
            f"The model was trained on {len(genes)} genes, and only {len(genes) - len(missing)} of them are in {source} "
            f"(missing: {quoted(missing)}). Pass `gene_key=` with the column of var that holds such names, or train on the "
            "genes that all slides share."
        )
        raise KeyError(msg)
    if missing:
        msg = f"{len(missing)} of the model's {len(genes)} genes are not in {source} and are not predicted: {quoted(missing)}."
        warn_user(msg)
    if source != "var_names":
        logger.info("genes of the model are matched by %s", source)
    return Panel(tuple(genes), columns)


def known_columns(
    table: AnnData, genes: Sequence[str], *, gene_key: str | None = None, any_case: bool = True
) -> NDArray[np.int64]:
    """Column of each gene of a prior, found as those of a model are, else whatever the case of the letters; -1 for none.

    A prior may know more genes than an object has, or fewer. Without ``any_case`` names have to be written alike.
    """
    _, columns = _best_match(table, genes, gene_key)
    if not any_case:
        return columns
    names = table.var_names if gene_key is None else pd.Index(table.var[gene_key])
    capitals = _locate(names.astype(str).str.upper(), pd.Index(list(genes)).str.upper())
    return capitals if _found(capitals) > _found(columns) else columns


def species_of_table(table: AnnData, *, gene_key: str | None = None) -> str:
    """Species that the names of an object's genes are of, by ``gene_key``, ``var_names`` or a column of ``var`` with names."""
    if gene_key is not None and gene_key in table.var:
        return species_or_other(table.var[gene_key])
    others = (names for _, names in _other_names(table) if _may_be_genes(names))
    return next(filter(None, map(species_or_other, (table.var_names, *others))), "")


def _may_be_genes(names: pd.Index) -> bool:
    """Whether most differ, and most are single words: kinds of features, genomes and descriptions are no names of genes."""
    return names.nunique() > len(names) / 2 and float(names.str.contains(r"\s").mean()) < 0.5


def _best_match(table: AnnData, genes: Sequence[str], gene_key: str | None) -> tuple[str, NDArray[np.int64]]:
    if gene_key is not None:
        if gene_key not in table.var:
            msg = f"No column {gene_key!r} in var; there are: {quoted(table.var.columns) or 'none'}."
            raise KeyError(msg)
        return f"var[{gene_key!r}]", _locate(pd.Index(table.var[gene_key].astype(str)), genes)
    best = ("var_names", _locate(table.var_names, genes))
    if _found(best[1]) >= MIN_FOUND:
        return best
    for source, names in _other_names(table):
        columns = _locate(names, genes)
        if _found(columns) > _found(best[1]):
            best = (source, columns)
    stripped = _locate(_less_version(table.var_names), _less_version(pd.Index(genes)))
    return ("var_names less their versions", stripped) if _found(stripped) > _found(best[1]) else best


def _other_names(table: AnnData) -> Iterator[tuple[str, pd.Index]]:
    for column in table.var.columns:
        values = table.var[column]
        if isinstance(values.dtype, pd.CategoricalDtype) or pd.api.types.is_string_dtype(values.dtype):
            yield f"var[{column!r}]", pd.Index(values.astype(str))


def _locate(names: pd.Index, genes: Sequence[str] | pd.Index) -> NDArray[np.int64]:
    """Column of each gene; -1 where it is missing or occurs twice, and then stands for no one column."""
    single = ~names.duplicated(keep=False)
    found = pd.Index(names[single]).get_indexer(pd.Index(genes))
    columns = np.flatnonzero(single)
    return np.where(found >= 0, columns[found] if columns.size else -1, -1).astype(np.int64)


def _found(columns: NDArray[np.int64]) -> float:
    return float((columns >= 0).mean())


def _less_version(names: pd.Index) -> pd.Index:
    """Ensembl ids without ``.12`` at the end; other names as they are."""
    return pd.Index(names.astype(str).str.replace(r"^(ENS[A-Z]*\d+)\.\d+$", r"\1", regex=True))
