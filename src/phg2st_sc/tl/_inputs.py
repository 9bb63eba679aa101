"""From slides to arrays: what a method is handed, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._counts import drop_empty_prompts, gene_columns, read_counts
from .._features import features_of
from .._prompts import resolve_mask
from .._text import some
from ..models import Prompts, SlideArrays, TrainingSlide
from ._context import context_of

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide

MIN_DETECTED = 3
"""Prompts in which a gene must have a count to enter the default panel."""
DEFAULT_TARGET_SUM = 1e4
"""Scale of predictions made without any prompt by a model that recorded none."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Expression of the prompts of one slide, over all genes of the object or of a fitted panel."""

    slide: Slide
    mask: NDArray[np.bool_]
    index: NDArray[np.int64]
    counts: Any
    totals: NDArray[np.float64]

    def prompts(self, columns: NDArray[np.int64], genes: tuple[str, ...], target_sum: float) -> Prompts:
        """Prompts over some of the genes."""
        counts = self.counts[:, columns]
        dense = counts.toarray() if hasattr(counts, "toarray") else np.asarray(counts)
        return Prompts(self.index, np.ascontiguousarray(dense, np.float32), self.totals, target_sum, genes)


def by_place(slide: Slide) -> Slide:
    """Return the slide with its spots in the order of their places.

    What a method draws at random, and which of equally near prompts it takes, then does not depend on how the rows of a
    table happen to be sorted.
    """
    places = slide.pitch_positions()
    finite = np.isfinite(places).all(axis=1)
    if not finite.all():
        names = slide.table.obs_names[slide.rows[~finite]]
        msg = (
            f"the centres of {len(names)} spot(s) of slide {slide.name!r} are NaN or infinite ({some(names)}): correct "
            f"obsm[{_keys.SPATIAL!r}], or leave these spots out"
        )
        raise ValueError(msg)
    x, y = np.round(places, 6).T
    order = np.lexsort((y, x))
    return replace(slide, rows=slide.rows[order], positions=slide.positions[order])


def read_measured(
    slide: Slide, prompt_mask: Any, *, counts_layer: str | None, genes: Sequence[str] | None, allow_zero: bool
) -> Measured:
    """Read the prompted rows of a slide, and no other."""
    mask = resolve_mask(slide.table, slide.rows, prompt_mask, name=slide.name, allow_zero=allow_zero, allow_all=True)
    index = np.flatnonzero(mask)
    rows = slide.rows[index]
    counts, totals = read_counts(slide.table, rows, counts_layer=counts_layer, genes=genes)
    if index.size:
        index, counts, totals = drop_empty_prompts(index, counts, totals, names=slide.table.obs_names[rows])
    return Measured(slide, mask, index, counts, totals)


def slide_arrays(slide: Slide, rep: str | None) -> SlideArrays:
    """Image side of a slide."""
    features, record = features_of(slide, rep)
    index, tiles = (None, None) if features is None else context_of(slide, str(rep))
    return SlideArrays(slide.name, slide.pitch_positions(), features, record, slide.patient, index, tiles)


def training_slide(slide: Slide, rep: str | None, genes: Sequence[str], *, counts_layer: str | None) -> TrainingSlide:
    """A slide with its expression; spots without counts are left out."""
    counts, totals = read_counts(slide.table, slide.rows, counts_layer=counts_layer, genes=genes, dense=True)
    arrays = slide_arrays(slide, rep)
    used = totals > 0
    if not used.all():
        arrays = arrays.take(used)
    return TrainingSlide(arrays, np.asarray(counts[used], dtype=np.float32), totals[used], tuple(genes))


def working_panel(table: AnnData, measured: Sequence[Measured], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Genes that a single-slide method works with.

    The panel that ``pp.select_genes`` marked, else the genes with counts in at least three prompts (of all slides
    together, or in every prompt when there are fewer), and in any case those asked for.
    """
    if _keys.PANEL in table.var:
        keep = table.var[_keys.PANEL].to_numpy(dtype=bool)
    else:
        detected = sum(np.asarray((m.counts > 0).sum(axis=0)).ravel() for m in measured)
        n_prompts = sum(m.index.size for m in measured)
        keep = np.asarray(detected) >= max(1, min(MIN_DETECTED, n_prompts))
    if wanted is not None:
        columns = gene_columns(table, wanted)
        keep = keep.copy()
        keep[columns] = True
    genes = tuple(table.var_names[keep])
    if len(genes) < 2:
        msg = (
            f"{len(genes)} gene(s) have counts in at least {MIN_DETECTED} prompts: too few to predict from. Measure more "
            "spots, or pass `genes=` with the ones you want."
        )
        raise ValueError(msg)
    return genes


def check_gene_names(genes: Sequence[str] | None) -> None:
    """Raise when ``genes`` is one name, none, or holds a name more than once."""
    if genes is None:
        return
    if isinstance(genes, str):
        msg = f"`genes` is a list of names: pass `genes=[{genes!r}]`"
        raise TypeError(msg)
    if not len(genes):
        raise ValueError("`genes` is empty: name at least one gene, or leave it out for all")
    names = pd.Index(list(genes))
    if not names.is_unique:
        msg = f"`genes` names some more than once: {some(names[names.duplicated()].unique())}"
        raise ValueError(msg)


def check_model_genes(table: AnnData, genes: Sequence[str]) -> None:
    """Raise when the object lacks genes of a fitted model."""
    missing = pd.Index(genes).difference(table.var_names, sort=False)
    if len(missing):
        msg = (
            f"the model was trained on {len(genes)} genes, and {len(missing)} of them are not in var_names "
            f"({some(missing)}). Train on the genes that all slides share: `phg2st_sc.pp.select_genes([...])` first."
        )
        raise KeyError(msg)


def common_target_sum(measured: Sequence[Measured], target_sum: float | None, fallback: float) -> float:
    """Scale of the predictions: what was asked for, else the median total of the prompts, else the fallback."""
    if target_sum is not None:
        if not 0 < target_sum < np.inf:
            msg = f"target_sum={target_sum!r} must be positive and finite, e.g. 1e4, or None for the median of the prompts"
            raise ValueError(msg)
        return float(target_sum)
    totals = np.concatenate([m.totals for m in measured]) if measured else np.zeros(0)
    return float(np.median(totals)) if totals.size else fallback
