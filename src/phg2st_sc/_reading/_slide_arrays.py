"""From a slide to the arrays that methods are handed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from .._arrays import SlideArrays, TrainingSlide
from .._provenance import fingerprint
from .._slide import Slide, is_target
from ._context import context_of
from ._features import features_of
from ._hypergraph import stored_hypergraph
from ._patches import SlidePatches
from ._reading import Reading


def slide_arrays(
    slide: Slide,
    rep: str | None,
    *,
    hypergraph_key: str | None = None,
    patches: bool = False,
    context: bool = False,
) -> SlideArrays:
    """Image side of a slide, with the hypergraph stored as ``hypergraph_key``; pictures, and the tiles around spots, where asked for."""
    features, record = features_of(slide, rep)
    index, tiles = (None, None) if features is None or not context else context_of(slide, str(rep))
    incidence = None if hypergraph_key is None else _stored_incidence(slide, hypergraph_key)
    pictures = SlidePatches.of(slide) if patches else None
    return SlideArrays(
        slide.name, slide.pitch_positions(), features, record, slide.patient, index, tiles, incidence, pictures
    )


def _stored_incidence(slide: Slide, key: str) -> sparse.csr_matrix:
    hypergraph = stored_hypergraph(slide.table, slide.rows, key)
    if hypergraph is None:
        msg = (
            f"Slide {slide.name!r} has no hypergraph {key!r} that fits its spots: build it (anew, after slicing or "
            f"concatenating) with `phg2st_sc.pp.build_hypergraph(data, key_added={key!r})`."
        )
        raise KeyError(msg)
    return hypergraph.incidence


def training_slide(
    reading: Reading,
    slide: Slide,
    rep: str | None,
    genes: Sequence[str],
    *,
    hypergraph_key: str | None = None,
    patches: bool = False,
    context: bool = False,
) -> tuple[TrainingSlide, str]:
    """A slide with its expression, and its fingerprint; targets, and spots without counts, are left out."""
    spots = np.flatnonzero(~is_target(slide.table, slide.rows))
    rows = slide.rows[spots]
    counts, totals = reading.counts(slide.table, rows, genes=genes, dense=True)
    arrays = slide_arrays(slide, rep, hypergraph_key=hypergraph_key, patches=patches, context=context)
    used = totals > 0
    if used.sum() < slide.n_spots:
        arrays = arrays.take(spots[used])
    mark = fingerprint(slide.table.obs_names[rows[used]], totals[used])
    return TrainingSlide(arrays, np.asarray(counts[used], dtype=np.float32), totals[used], tuple(genes)), mark
