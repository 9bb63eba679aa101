"""Choose the gene panel: genes whose expression varies beyond what sequencing depth explains."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from .. import _keys
from .._counts import gene_columns, read_counts, row_totals
from .._prompts import resolve_mask
from .._slide import Owner, SlotUpdate, refuse_foreign, resolve_datas, write_slots
from .._target_rows import is_target
from .._text import some

if TYPE_CHECKING:
    from anndata import AnnData

    from .._slide import Slide

THETA = 100.0
"""Overdispersion of the negative binomial behind the residuals."""
_MIN_ROWS = 3
_BLOCK = 1 << 22


def select_genes(
    datas: Any,
    *,
    n_top: int = 1000,
    min_spots: int | None = None,
    counts_layer: str | None = None,
    patients: Collection[str] | None = None,
    prompt_mask: Any = None,
    slide_key: str | None = None,
    key_added: str = _keys.PANEL,
    table: str | None = None,
    write: bool = False,
) -> list[str]:
    """Choose the genes that vary most over space or between spots, depth set aside, in all slides together.

    Within each slide genes are ranked by the variance of their analytic Pearson residuals (negative binomial, theta 100,
    clipped at the square root of the number of spots). Over slides, the genes that are among the first ``n_top`` of most
    slides come first, ties broken by the median of those ranks (the rule of scanpy's
    ``experimental.pp.highly_variable_genes(flavor="pearson_residuals", batch_key=...)``), then by variance, then by name.

    Parameters
    ----------
    datas
        One object, a list or a dict of them, or one object with ``slide_key``. Only genes that all of them have can be
        chosen.
    n_top
        How many genes to choose.
    min_spots
        In how many of the spots that are read a gene must be detected. ``None``: 1 % of them, at least 3.
    counts_layer
        Layer with raw counts; ``None`` for ``X``.
    patients
        Read the expression of these patients only, such as those of the training set. The panel is marked in every
        object all the same.
    prompt_mask
        Read measured spots only: an ``obs`` column of every object, or, for one object, any mask that
        :func:`phg2st_sc.tl.impute` takes. ``None`` reads **every** spot, which is right for training slides; choosing
        genes on a slide that is to be predicted without a mask leaks what was held out (a warning tells where
        ``obs["prompt"]`` exists).
    slide_key
        ``obs`` column that tells the slides of an object apart.
    key_added
        ``var`` column to write.
    table
        Table of a SpatialData that has several.
    write
        Also store the panel in the zarr store behind each SpatialData.

    Returns
    -------
    The chosen genes, the most variable first. Writes ``var[key_added]``, bool, and ``uns[key_added]``, the genes in order
    and how they were chosen, on every object.

    Raises
    ------
    KeyError
        A patient, layer or mask column does not exist.
    ValueError
        No common gene, none detected often enough, too few spots, values that are no counts, or ``key_added`` names a
        slot that was not written by this function.

    Examples
    --------
    >>> import anndata, numpy as np
    >>> import phg2st_sc as phg2st
    >>> counts = np.random.default_rng(0).poisson(5, size=(50, 40))
    >>> counts[:25, 2] *= 3
    >>> a = anndata.AnnData(counts.astype("float32"))
    >>> a.obsm["spatial"] = np.argwhere(np.ones((10, 5))).astype(float)
    >>> phg2st.pp.select_genes(a, n_top=1)
    ['2']
    """
    if isinstance(n_top, bool) or not isinstance(n_top, (int, np.integer)) or n_top < 1:
        raise ValueError(f"n_top={n_top!r} must be an integer of at least 1.")
    slides = resolve_datas(datas, slide_key=slide_key, table=table)
    tables = list({id(slide.table): slide.table for slide in slides}.values())
    owner = Owner((key_added,), ("rule",))
    for each in tables:
        refuse_foreign(each, [("var", key_added), ("uns", key_added)], owner)
    genes = common_genes(tables)
    chosen_slides = _of_patients(slides, patients)
    _check_mask(tables, prompt_mask)
    if prompt_mask is None:
        _warn_of_prompts(chosen_slides)
    ranked = rank_genes(
        chosen_slides, genes, n_top=n_top, min_spots=min_spots, counts_layer=counts_layer, prompt_mask=prompt_mask
    )
    panel = ranked.genes
    record = {
        "genes": np.array(panel, dtype=object),
        "n_top": int(n_top),
        "min_spots": ranked.min_spots,
        "n_spots_read": ranked.n_spots,
        "n_slides_read": ranked.n_slides,
        "counts_layer": counts_layer or "X",
        "prompts_only": prompt_mask is not None,
        "rule": f"variance of Pearson residuals, theta {THETA:g}, ranks combined over slides",
    }
    for each in tables:
        marks = np.asarray(each.var_names.isin(panel))
        update = SlotUpdate(var={key_added: marks}, uns={key_added: dict(record)}, owner=owner)
        write_slots(_holder(datas, each), each, update, write=write)
    return panel


@dataclass(frozen=True)
class Ranked:
    """Genes in order of choice, and what was read to choose them."""

    genes: list[str]
    min_spots: int
    n_spots: int
    n_slides: int


def rank_genes(
    slides: Sequence[Slide],
    genes: pd.Index,
    *,
    n_top: int,
    min_spots: int | None = None,
    counts_layer: str | None = None,
    prompt_mask: Any = None,
) -> Ranked:
    """The most variable of some genes on some slides; nothing is written. See :func:`select_genes`."""
    variances, detected, n_read = [], np.zeros(len(genes), dtype=np.int64), 0
    for slide in slides:
        counts = _read(slide, prompt_mask, counts_layer, genes)
        if counts is not None:
            variances.append(residual_variance(counts))
            detected += np.asarray((counts > 0).sum(axis=0), dtype=np.int64).ravel()
            n_read += counts.shape[0]
    if not variances:
        raise ValueError(
            f"No slide has {_MIN_ROWS} spots with counts to choose genes by. Measure more, or widen the mask."
        )
    needed = max(_MIN_ROWS, round(0.01 * n_read)) if min_spots is None else int(min_spots)
    panel = _first(genes, np.stack(variances), detected >= needed, n_top, needed)
    return Ranked(panel, needed, n_read, len(variances))


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


def common_genes(tables: list[AnnData]) -> pd.Index:
    """Genes that all tables have, in the order of the first."""
    common = tables[0].var_names
    for table in tables:
        gene_columns(table, None)
        common = common[common.isin(table.var_names)]
    if not len(common):
        msg = (
            "The objects have no gene in common. Their var_names start with "
            f"{' and '.join(some(table.var_names) for table in tables[:2])}: are all symbols, or all ids?"
        )
        raise ValueError(msg)
    return common


def _of_patients(slides: list[Slide], patients: Collection[str] | None) -> list[Slide]:
    if patients is None:
        return slides
    wanted = {patients} if isinstance(patients, str) else set(patients)
    known = {slide.patient for slide in slides if slide.patient is not None}
    if unknown := sorted(wanted - known):
        raise KeyError(f"No slide is of patient {some(unknown)}. Patients here: {sorted(known) or 'none recorded'}.")
    return [slide for slide in slides if slide.patient in wanted]


def _check_mask(tables: list[AnnData], prompt_mask: Any) -> None:
    if prompt_mask is not None and not isinstance(prompt_mask, str) and len(tables) > 1:
        msg = (
            f"A prompt mask as values fits one object, but {len(tables)} were given: store each mask in its object, "
            "e.g. `data.obs['prompt'] = mask`, and pass the column name."
        )
        raise TypeError(msg)


def _warn_of_prompts(slides: list[Slide]) -> None:
    marked = [
        slide.name
        for slide in slides
        if _keys.PROMPT in slide.table.obs
        and not (slide.table.obs[_keys.PROMPT].isin([True]) | is_target(slide.table)).all()
    ]
    if marked:
        warnings.warn(
            f"Genes are chosen by every spot of {some(marked)}, although obs[{_keys.PROMPT!r}] marks only some as measured."
            f" Right for training slides; for a slide to be predicted pass prompt_mask={_keys.PROMPT!r}.",
            UserWarning,
            stacklevel=3,
        )


def _read(slide: Slide, prompt_mask: Any, counts_layer: str | None, genes: pd.Index) -> Any:
    """Counts of the spots of a slide that may be read and have any; ``None`` where they are too few."""
    rows = slide.rows
    if prompt_mask is not None:
        allowed = resolve_mask(slide.table, rows, prompt_mask, name=slide.name, allow_zero=True, allow_all=True)
        rows = rows[allowed]
    counts, _ = read_counts(slide.table, rows, counts_layer=counts_layer, genes=list(genes))
    counts = counts[np.asarray(counts.sum(axis=1)).ravel() > 0]
    if counts.shape[0] >= _MIN_ROWS:
        return counts
    warnings.warn(
        f"Slide {slide.name!r} has only {counts.shape[0]} spots with counts to read: it does not count in the choice.",
        UserWarning,
        stacklevel=3,
    )
    return None


def _first(
    genes: pd.Index, variances: NDArray[np.float64], often_enough: NDArray[np.bool_], n_top: int, needed: int
) -> list[str]:
    if not often_enough.any():
        raise ValueError(f"None of the {len(genes)} common genes is detected in {needed} spots: lower `min_spots=`.")
    names = [str(gene) for gene in genes[often_enough]]
    if len(names) < n_top:
        warnings.warn(
            f"Only {len(names)} common genes are detected in {needed} spots or more, fewer than n_top={n_top}: "
            "all of them are chosen.",
            UserWarning,
            stacklevel=3,
        )
    order = combine_ranks(variances[:, often_enough], names, n_top)
    return [names[gene] for gene in order[:n_top]]


def _holder(datas: Any, table: AnnData) -> Any:
    """Which of the objects holds a table; the table itself where that is an AnnData."""
    objects = datas.values() if isinstance(datas, Mapping) else datas if isinstance(datas, (list, tuple)) else [datas]
    tables = (item for item in objects if hasattr(item, "tables"))
    return next((item for item in tables if any(each is table for each in item.tables.values())), table)
