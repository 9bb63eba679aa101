"""Expression of the prompts of a slide, read from their rows and no other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import is_positive
from .._slide import Slide
from .._warn import warn_user
from ._counts import drop_empty_prompts
from ._mask import resolve_mask
from ._reading import Reading
from ._unmeasured import EXPECTED, genes_by_slide, never_measured

DEFAULT_TARGET_SUM = 1e4
"""Scale of predictions made without any prompt by a model that recorded none."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Expression of the prompts of one slide, over all genes of the object.

    Attributes
    ----------
    slide
        The slide.
    mask
        (n,) which of its spots are prompts, those without a count among them.
    index
        (p,) the prompts that have counts, as numbers within the slide.
    counts
        (p, genes of the object) raw counts.
    totals
        (p,) float64 totals over all genes.
    genes
        (features,) which features of the object are genes; counts of the others are zero.
    lacking
        (features,) which genes were not measured on this slide; their counts are zero.
    """

    slide: Slide
    mask: NDArray[np.bool_]
    index: NDArray[np.int64]
    counts: Any
    totals: NDArray[np.float64]
    genes: NDArray[np.bool_]
    lacking: NDArray[np.bool_]


def read_measured(reading: Reading, slide: Slide, prompt_mask: Any, *, allow_zero: bool) -> Measured:
    """Read the prompted rows of a slide, and no other."""
    mask = resolve_mask(slide.table, slide.rows, prompt_mask, name=slide.name, allow_zero=allow_zero, allow_all=True)
    index = np.flatnonzero(mask)
    rows = slide.rows[index]
    read = reading.read(slide.table, rows)
    counts, totals = read.counts.astype(np.float32, copy=False), read.totals
    if index.size:
        index, counts, totals = drop_empty_prompts(index, counts, totals, names=slide.table.obs_names[rows])
    return Measured(slide, mask, index, counts, totals, read.genes, read.lacking)


def find_unmeasured(
    measured: Sequence[Measured], cohort: tuple[NDArray[np.float64], float] | None = None
) -> list[Measured]:
    """The slides of one object, with the genes that each of them never measured, by NaN or beside the others; and say so.

    See :mod:`._unmeasured` for what zeros tell.

    Parameters
    ----------
    measured
        The slides.
    cohort
        (features,) counts of each feature over the slides that a model was trained on, and their counts in all.
    """
    known = [one.lacking & one.genes for one in measured]
    sums = np.stack([np.asarray(one.counts.sum(axis=0, dtype=np.float64)).ravel() for one in measured])
    totals = [float(one.totals.sum()) for one in measured]
    if cohort is not None:
        sums, totals = np.concatenate([sums, cohort[0][None]]), [*totals, cohort[1]]
    zeros = never_measured(sums, totals)[: len(measured)] & ~np.stack(known)
    names, slides = measured[0].slide.table.var_names, [one.slide.name for one in measured]
    if any(gaps.any() for gaps in known):
        warn_user(
            f"Genes that are NaN at every prompt of a slide were not measured there, and are not predicted there: "
            f"{genes_by_slide(slides, known, names)}."
        )
    others = "the other slides" if cohort is None else "other slides, or those of the model,"
    if zeros.any():
        warn_user(
            f"Genes without a single count at the prompts of a slide, of which {others} lead to expect {EXPECTED:g} counts "
            f"or more, were never measured there, and are not predicted there: {genes_by_slide(slides, zeros, names)}. Joining "
            "objects (`anndata.concat(..., join='outer')`) leaves such zeros; join='inner' keeps the genes that all slides have."
        )
    return [replace(one, lacking=gaps | zero) for one, gaps, zero in zip(measured, known, zeros, strict=True)]


def check_target_sum(target_sum: Any) -> float:
    """Return a scale of expression, or say that it is none."""
    if not is_positive(target_sum):
        msg = f"target_sum={target_sum!r} must be a number above 0, e.g. 1e4, or None for the median total."
        raise ValueError(msg)
    return float(target_sum)


def common_target_sum(measured: Sequence[Measured], target_sum: float | None, fallback: float) -> float:
    """Scale of the predictions: what was asked for, else the median total of the prompts, else the fallback."""
    if target_sum is not None:
        return check_target_sum(target_sum)
    totals = np.concatenate([one.totals for one in measured]) if measured else np.zeros(0)
    return float(np.median(totals)) if totals.size else fallback
