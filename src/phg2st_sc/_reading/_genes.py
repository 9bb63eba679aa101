"""Rank genes by how much their expression varies beyond what sequencing depth explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .._text import quoted
from .._warn import warn_of_each, warn_user
from ._cohort import say_unmeasured
from ._counts import gene_columns
from ._mask import resolve_mask
from ._reading import Reading
from ._source import row_totals

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide


THETA = 100.0
"""Overdispersion of the negative binomial behind the residuals."""


_MIN_ROWS = 3


_BLOCK = 1 << 22


@dataclass(frozen=True)
class Ranked:
    """Genes in order of choice, and what was read to choose them."""

    genes: list[str]
    min_spots: int
    n_spots: int
    n_slides: int


@dataclass(frozen=True, eq=False)
class _Read:
    """What one slide says of each gene."""

    slide: Slide
    n_spots: int
    variance: NDArray[np.float64]
    detected: NDArray[np.int64]
    sums: NDArray[np.float64]
    total: float
    lacking: NDArray[np.bool_]


def rank_genes(
    reading: Reading,
    slides: Sequence[Slide],
    genes: pd.Index,
    *,
    n_top_genes: int,
    min_spots: int | None = None,
    prompt_mask: Any = None,
) -> Ranked:
    """The most variable of some genes on some slides; nothing is written. See :func:`select_genes`."""
    read = [one for slide in slides if (one := _read(reading, slide, prompt_mask, genes)) is not None]
    if not read:
        raise ValueError(
            f"No slide has {_MIN_ROWS} spots with counts to choose genes by. Measure more, or widen the mask."
        )
    n_read = sum(one.n_spots for one in read)
    needed = max(_MIN_ROWS, round(0.01 * n_read)) if min_spots is None else int(min_spots)
    lacking = say_unmeasured(
        [one.slide for one in read],
        np.stack([one.sums for one in read]),
        [one.total for one in read],
        np.stack([one.lacking for one in read]),
        genes,
    )
    detected = np.sum([one.detected for one in read], axis=0)
    variances = np.stack([one.variance for one in read])
    panel = _first(genes, variances, (detected >= needed) & ~lacking, n_top_genes, needed)
    return Ranked(panel, needed, n_read, len(read))


def residual_variance(counts: Any, *, theta: float = THETA) -> NDArray[np.float64]:
    """Return the variance of each gene's analytic Pearson residuals, clipped at the root of the number of spots.

    Parameters
    ----------
    counts
        (n, G) raw counts, dense or sparse.
    theta
        Overdispersion of the negative binomial.

    Returns
    -------
    (G,) variances over the spots; 0 for a gene without counts.
    """
    n = counts.shape[0]
    columns: Any = counts.tocsc() if sparse.issparse(counts) else np.asarray(counts)
    depth = row_totals(columns)
    share = row_totals(columns.T) / depth.sum()
    variance = np.zeros(counts.shape[1])
    step = max(1, _BLOCK // max(1, n))
    for start in range(0, len(variance), step):
        part = slice(start, start + step)
        block = columns[:, part]
        observed = (block.toarray() if sparse.issparse(block) else block).astype(np.float64)
        expected = depth[:, None] * share[None, part]
        spread = np.sqrt(expected + expected**2 / theta)
        residual = np.divide(observed - expected, spread, out=np.zeros_like(expected), where=spread > 0)
        variance[part] = np.clip(residual, -np.sqrt(n), np.sqrt(n)).var(axis=0)
    return variance


def combine_ranks(variances: NDArray[np.float64], names: Sequence[str], n_top: int) -> NDArray[np.int64]:
    """Order genes over slides: in the first ``n_top`` of how many, median of those ranks, variance, name.

    Parameters
    ----------
    variances
        (slides, G) variance of each gene on each slide.
    names
        The G names, which break what ties are left.
    n_top
        How many of the first ranks of a slide count.

    Returns
    -------
    (G,) gene numbers, best first.
    """
    name_rank = np.argsort(np.argsort(np.asarray(names, dtype=object), kind="stable"), kind="stable")
    order = np.stack([np.lexsort((name_rank, -row)) for row in variances])
    ranks = np.argsort(order, axis=1, kind="stable").astype(np.float64)
    ranks[ranks >= n_top] = np.nan
    often = np.isfinite(ranks).sum(axis=0)
    median = np.full(ranks.shape[1], np.inf)
    median[often > 0] = np.nanmedian(ranks[:, often > 0], axis=0)
    return np.lexsort((name_rank, -variances.mean(axis=0), median, -often))


def common_genes(tables: list[AnnData], reading: Reading) -> pd.Index:
    """Genes that all tables have, in the order of the first."""
    common = tables[0].var_names
    for table in tables:
        gene_columns(table, None)
        common = common[common.isin(table.var_names[reading.genes(table)])]
    if not len(common):
        msg = (
            "The objects have no gene in common. Their var_names start with "
            f"{' and '.join(quoted(table.var_names) for table in tables[:2])}: are all symbols, or all ids?"
        )
        raise ValueError(msg)
    return common


def _read(reading: Reading, slide: Slide, prompt_mask: Any, genes: pd.Index) -> _Read | None:
    """What the spots of a slide say that may be read and have counts; ``None`` where they are too few."""
    rows = slide.rows
    if prompt_mask is not None:
        allowed = resolve_mask(slide.table, rows, prompt_mask, name=slide.name, allow_zero=True, allow_all=True)
        rows = rows[allowed]
    all_counts = reading.read(slide.table, rows)
    columns = gene_columns(slide.table, list(genes))
    counts = all_counts.counts[:, columns].astype(np.float32)
    counts = counts[np.asarray(counts.sum(axis=1)).ravel() > 0]
    if counts.shape[0] >= _MIN_ROWS:
        return _Read(
            slide=slide,
            n_spots=int(counts.shape[0]),
            variance=residual_variance(counts),
            detected=np.asarray((counts > 0).sum(axis=0), dtype=np.int64).ravel(),
            sums=np.asarray(counts.sum(axis=0, dtype=np.float64)).ravel(),
            total=float(all_counts.totals.sum()),
            lacking=all_counts.lacking[columns],
        )
    warn_of_each(
        f"Slide {slide.name!r} has only {counts.shape[0]} spots with counts to read: it does not count in the choice.",
        each=f"{slide.name!r} ({counts.shape[0]})",
        several="Slides {which} have too few spots with counts to read (their number in brackets): they do not count in the choice.",
    )
    return None


def _first(
    genes: pd.Index, variances: NDArray[np.float64], often_enough: NDArray[np.bool_], n_top: int, needed: int
) -> list[str]:
    if not often_enough.any():
        raise ValueError(f"None of the {len(genes)} common genes is detected in {needed} spots: lower `min_spots=`.")
    names = [str(gene) for gene in genes[often_enough]]
    if len(names) < n_top:
        warn_user(
            f"Only {len(names)} common genes are detected in {needed} spots or more, fewer than n_top_genes={n_top}: "
            "all of them are chosen."
        )
    order = combine_ranks(variances[:, often_enough], names, n_top)
    return [names[gene] for gene in order[:n_top]]
