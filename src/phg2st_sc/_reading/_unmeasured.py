"""Genes that a slide never measured, told from genes that it does not express: what joining objects leaves as zeros.

``anndata.concat(..., join="outer")`` fills sparse counts with zeros where a slide lacks a gene. The object does not say so, but
its other slides do. Of a gene with a share ``q`` of their counts, ``E = q * N`` counts are to be expected on a slide with ``N``
counts in all. No such gene is told from one that is not expressed by its zero alone: sex, genotype and tissue switch genes off.
But rates that vary between slides vary without a gap: where some genes come down to no count, about as many are left with one,
and with two. Genes that were never measured leave a gap between nothing and what was expected.

So a slide never measured its genes with no count and ``E`` of 20 or more (and 20 counts on the others), where these are

- 10 or more, or a fifth of all genes with such an ``E``; and
- five times as many as those with one count, or two, of the same ``E`` (their mean, plus one): at least 5.

Of weaker genes nothing can be known, and zeros are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._text import quoted

EXPECTED = 20.0
"""Counts to be expected on a slide, and to be there on the others, before a zero says anything."""
MANY, PART = 10, 0.2
"""How many such genes are a block that was not measured: many, or this part of all of them."""
GAP = 5.0
"""How many times as many as genes with one count or with two."""


def never_measured(counts: NDArray[np.floating], totals: NDArray[np.floating] | Sequence[float]) -> NDArray[np.bool_]:
    """Return which genes which slides never measured.

    Parameters
    ----------
    counts
        (slides, G) counts of each gene over the spots of each slide that may be read.
    totals
        (slides,) counts of all genes over the same spots.

    Returns
    -------
    (slides, G) boolean array; nothing is True of a single slide.
    """
    counts = np.asarray(counts, dtype=np.float64)
    depth = np.asarray(totals, dtype=np.float64)[:, None] * np.ones_like(counts)
    there = counts > 0
    others = counts.sum(axis=0) - counts
    depth_of_others = np.where(there, depth, 0.0).sum(axis=0) - np.where(there, depth, 0.0)
    share = np.divide(others, depth_of_others, out=np.zeros_like(others), where=depth_of_others > 0)
    strong = (others >= EXPECTED) & (share * depth >= EXPECTED)
    found = np.zeros(counts.shape, dtype=bool)
    for slide, (count, well) in enumerate(zip(counts, strong, strict=True)):
        zero = well & (count == 0)
        low = (well & (count > 0) & (count <= 2)).sum() / 2.0
        if zero.sum() >= max(min(MANY, PART * well.sum()), GAP * (low + 1.0)):
            found[slide] = zero
    return found


def genes_by_slide(slides: Iterable[str], which: Iterable[NDArray[np.bool_]], genes: pd.Index) -> str:
    """How messages name some genes of each slide that has any: ``2 of slide 'A1' ('ACTB', 'GAPDH'), ...``."""
    return ", ".join(
        f"{int(some.sum())} of slide {name!r} ({quoted(genes[some])})"
        for name, some in zip(slides, which, strict=True)
        if some.any()
    )
