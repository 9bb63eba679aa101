"""What the slides of a cohort must share: embeddings of one kind, a column with the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._slide import embedding_records, is_target, n_columns
from .._text import quoted
from .._warn import warn_user
from ._feature_kinds import embedding_call, how_made, identity, same_kind
from ._features import choose_rep, has_features
from ._pictures import warn_of_pictures
from ._unmeasured import EXPECTED, genes_by_slide, never_measured

if TYPE_CHECKING:
    from .._arrays import TrainingSlide
    from .._slide import Slide
    from ._reading import Reading


def choose_reps(slides: Sequence[Slide], use_rep: str | None, *, trust_rep: bool) -> list[str | None]:
    """Features of every slide; a slide without them has none."""
    tables = {id(slide.table): slide.table for slide in slides}
    if use_rep is not None:
        having = {key: table for key, table in tables.items() if use_rep in table.obsm}
        tables = having or dict(list(tables.items())[:1])  # of a missing key, the first tells
    chosen = {key: choose_rep(table, use_rep, trust_rep=trust_rep) for key, table in tables.items()}
    reps = [chosen.get(id(slide.table)) for slide in slides]
    reps = [rep if has_features(slide, rep) else None for slide, rep in zip(slides, reps, strict=True)]
    warn_of_pictures(slides, reps)
    return reps


def same_features(slides: Sequence[Slide], reps: Sequence[str | None], read: Sequence[TrainingSlide]) -> dict[str, Any]:
    """Kind of the embeddings that all slides share; an error where they differ."""
    there = [slide.name for slide, one in zip(slides, read, strict=True) if one.arrays.features is not None]
    kinds = feature_kinds(slides, reps)
    return one_kind({name: kinds[name] for name in there})


def feature_kinds(slides: Sequence[Slide], reps: Sequence[str | None]) -> dict[str, dict[str, Any]]:
    """Encoder, tile and width, and how they were made, of the embeddings of each slide that has some, by its name."""
    kinds: dict[str, dict[str, Any]] = {}
    for slide, rep in zip(slides, reps, strict=True):
        if rep is not None:
            record = embedding_records(slide.table).get(rep, {})
            width = n_columns(slide.table.obsm[rep])
            kinds[slide.name] = {**identity(record), _keys.DIM: width, **how_made(record)}
    return kinds


def one_kind(kinds: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The kind that all slides share, empty where there is none; an error where they differ."""
    first = next(iter(kinds), None)
    for name, kind in kinds.items():
        if first is not None and not same_kind(_compared(kind), _compared(kinds[first])):
            kinds_are = f"of different kinds: {_compared(kinds[first])} and {_compared(kind)}"
            call = embedding_call(kinds[first])
            msg = f"Slides {first!r} and {name!r} have embeddings {kinds_are}. Make those of all slides alike, e.g. by {call}."
            raise ValueError(msg)
    return {} if first is None else kinds[first]


def _compared(kind: Mapping[str, Any]) -> dict[str, Any]:
    return {**identity(kind), _keys.DIM: kind.get(_keys.DIM)}


def check_patient_key(slides: Sequence[Slide], patient_key: str) -> None:
    """A key that was asked for and is nowhere is a mistake: patients would be lost without a word."""
    if patient_key == _keys.PATIENT or any(patient_key in slide.table.obs for slide in slides):
        return
    columns = slides[0].table.obs.columns
    raise KeyError(f"No object has a column {patient_key!r} in obs with the patient; there are: {quoted(columns)}.")


def measured_by_all(reading: Reading, slides: Sequence[Slide], genes: pd.Index) -> pd.Index:
    """Those of some genes that every slide measured; what is left out is said.

    Every spot of the slides is read, as in training. See :mod:`._unmeasured` for what zeros tell.
    """
    sums, totals, gaps = [], [], []
    for slide in slides:
        read = reading.read(slide.table, slide.rows[~is_target(slide.table, slide.rows)])
        columns = slide.table.var_names.get_indexer(genes)
        sums.append(np.asarray(read.counts.sum(axis=0, dtype=np.float64)).ravel()[columns])
        totals.append(float(read.totals.sum()))
        gaps.append(read.lacking[columns])
    return genes[~say_unmeasured(slides, np.stack(sums), totals, np.stack(gaps), genes)]


def say_unmeasured(
    slides: Sequence[Slide],
    sums: NDArray[np.float64],
    totals: Sequence[float],
    gaps: NDArray[np.bool_],
    genes: pd.Index,
) -> NDArray[np.bool_]:
    """(G,) which genes some slide never measured; they are said to be left out.

    Parameters
    ----------
    slides
        The slides.
    sums, gaps
        (slides, G) counts of each gene on each slide, and where there is nothing but NaN.
    totals
        Counts of all genes on each slide.
    genes
        The G genes.
    """
    lacking = gaps | never_measured(sums, totals)
    if lacking.any():
        which = genes_by_slide([slide.name for slide in slides], lacking, genes)
        warn_user(
            f"Genes that a slide never measured are left out: {which}. They are NaN there, or without a single count "
            f"where the other slides lead to expect {EXPECTED:g} or more, as joining objects (`anndata.concat(..., join='outer')`) "
            "leaves them."
        )
    return np.asarray(lacking.any(axis=0))
