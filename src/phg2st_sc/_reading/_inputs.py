"""From slides to arrays: what a method is handed, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._arrays import Prompts, SlideArrays, TrainingSlide
from .._provenance import fingerprint
from .._slide import is_target
from .._text import some
from ._context import context_of
from ._counts import drop_empty_prompts, read_counts
from ._features import features_of
from ._hypergraph import stored_hypergraph
from ._mask import resolve_mask
from ._patches import SlidePatches

if TYPE_CHECKING:
    from .._slide import Slide
    from ._panel import Panel

DEFAULT_TARGET_SUM = 1e4
"""Scale of predictions made without any prompt by a model that recorded none."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Expression of the prompts of one slide, over all genes of the object."""

    slide: Slide
    mask: NDArray[np.bool_]
    index: NDArray[np.int64]
    counts: Any
    totals: NDArray[np.float64]

    def prompts(self, panel: Panel, target_sum: float) -> Prompts:
        """Prompts over a panel; genes that the object lacks have no counts."""
        present = np.flatnonzero(panel.columns >= 0)
        found = self.counts[:, panel.columns[present]]
        counts = np.zeros((self.index.size, len(panel.genes)), dtype=np.float32)
        counts[:, present] = found.toarray() if hasattr(found, "toarray") else found
        lacking = np.flatnonzero(panel.columns < 0)
        return Prompts(self.index, counts, self.totals, target_sum, panel.genes, lacking)


def readable(data: Any) -> Any:
    """``data``, or a copy of it in memory where it is a view: what only reads takes views too."""
    if not getattr(data, "is_view", False):
        return data
    return data.to_memory(copy=True) if data.isbacked else data.copy()


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


def read_measured(slide: Slide, prompt_mask: Any, *, counts_layer: str | None, allow_zero: bool) -> Measured:
    """Read the prompted rows of a slide, and no other."""
    mask = resolve_mask(slide.table, slide.rows, prompt_mask, name=slide.name, allow_zero=allow_zero, allow_all=True)
    index = np.flatnonzero(mask)
    rows = slide.rows[index]
    counts, totals = read_counts(slide.table, rows, counts_layer=counts_layer)
    if index.size:
        index, counts, totals = drop_empty_prompts(index, counts, totals, names=slide.table.obs_names[rows])
    return Measured(slide, mask, index, counts, totals)


def slide_arrays(
    slide: Slide, rep: str | None, *, hypergraph_key: str | None = None, patches: bool = False
) -> SlideArrays:
    """Image side of a slide, with the hypergraph stored as ``hypergraph_key``, and with its pictures where asked for."""
    features, record = features_of(slide, rep)
    index, tiles = (None, None) if features is None else context_of(slide, str(rep))
    incidence = None if hypergraph_key is None else _stored_incidence(slide, hypergraph_key)
    pictures = SlidePatches.of(slide) if patches else None
    return SlideArrays(
        slide.name, slide.pitch_positions(), features, record, slide.patient, index, tiles, incidence, pictures
    )


def _stored_incidence(slide: Slide, key: str) -> sparse.csr_matrix:
    hypergraph = stored_hypergraph(slide.table, slide.rows, key)
    if hypergraph is None:
        msg = (
            f"slide {slide.name!r} has no hypergraph {key!r} that fits its spots: build it (anew, after slicing or "
            f"concatenating) with `phg2st_sc.pp.build_hypergraph(data, key_added={key!r})`"
        )
        raise KeyError(msg)
    return hypergraph.incidence


def training_slide(
    slide: Slide,
    rep: str | None,
    genes: Sequence[str],
    *,
    counts_layer: str | None,
    hypergraph_key: str | None = None,
    patches: bool = False,
) -> TrainingSlide:
    """A slide with its expression; targets, and spots without counts, are left out."""
    return with_fingerprint(
        slide, rep, genes, counts_layer=counts_layer, hypergraph_key=hypergraph_key, patches=patches
    )[0]


def with_fingerprint(
    slide: Slide,
    rep: str | None,
    genes: Sequence[str],
    *,
    counts_layer: str | None,
    hypergraph_key: str | None = None,
    patches: bool = False,
) -> tuple[TrainingSlide, str]:
    """:func:`training_slide`, and what the slide is known by later."""
    spots = np.flatnonzero(~is_target(slide.table, slide.rows))
    rows = slide.rows[spots]
    counts, totals = read_counts(slide.table, rows, counts_layer=counts_layer, genes=genes, dense=True)
    arrays = slide_arrays(slide, rep, hypergraph_key=hypergraph_key, patches=patches)
    used = totals > 0
    if used.sum() < slide.n_spots:
        arrays = arrays.take(spots[used])
    mark = fingerprint(slide.table.obs_names[rows[used]], totals[used])
    return TrainingSlide(arrays, np.asarray(counts[used], dtype=np.float32), totals[used], tuple(genes)), mark


def check_gene_names(genes: Sequence[str] | None, *, argument: str = "genes") -> None:
    """Raise when ``genes`` is one name, none, or holds a name more than once."""
    if genes is None:
        return
    if isinstance(genes, str):
        msg = f"`{argument}` is a list of names: pass `{argument}=[{genes!r}]`"
        raise TypeError(msg)
    if not len(genes):
        raise ValueError(f"`{argument}` is empty: name at least one gene, or leave it out for all")
    names = pd.Index(list(genes))
    if not names.is_unique:
        msg = f"`{argument}` names some more than once: {some(names[names.duplicated()].unique())}"
        raise ValueError(msg)


def common_target_sum(measured: Sequence[Measured], target_sum: float | None, fallback: float) -> float:
    """Scale of the predictions: what was asked for, else the median total of the prompts, else the fallback."""
    if target_sum is not None:
        if not 0 < target_sum < np.inf:
            msg = f"target_sum={target_sum!r} must be positive and finite, e.g. 1e4, or None for the median of the prompts"
            raise ValueError(msg)
        return float(target_sum)
    totals = np.concatenate([m.totals for m in measured]) if measured else np.zeros(0)
    return float(np.median(totals)) if totals.size else fallback
