"""A prior from single cells of a tissue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._docs import documented
from .._reading import Reading, check_gene_names
from .._species import species_of

if TYPE_CHECKING:
    from anndata import AnnData

    from ..models import PHG2ST

_MOST_CELLS = 20_000


@documented
def learn_prior(
    cells: AnnData,
    *,
    genes: Sequence[str] | None = None,
    n_top_genes: int = 2000,
    n_components: int = 30,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    name: str = "cells",
    tissue: str = "",
    seed: int = 0,
) -> PHG2ST:
    """Learn a prior from a single-cell reference of a tissue: which genes go together.

    It knows levels and components of genes, and nothing of images or of the noise of a spatial assay. Take one made from
    sections of the tissue where there is one: :meth:`phg2st_sc.models.PHG2ST.prior`.

    Parameters
    ----------
    cells
        AnnData of single cells. Raw counts are read; places are not needed.
    genes
        To learn. ``None``: those with the most counts.
    n_top_genes
        How many, where ``genes`` does not name them.
    n_components
        Gene components to learn.
    {counts_layer} {gex_only}
    name, tissue
        By which the prior is told of.
    {seed}
        Of more than 20,000 cells as many are drawn.

    Returns
    -------
    A prior for ``tl.impute(section, prior=...)``; ``prior.save(folder)`` keeps it. It holds no cell.

    Raises
    ------
    KeyError
        If genes do not exist.
    ValueError
        If counts are no counts, or genes do not vary beyond counting noise.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> cells = phg2st.datasets.simulate(n_spots=200, n_genes=60, image=False, seed=0)
    >>> section = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, seed=1)
    >>> phg2st.pp.sample_prompts(section, fraction=0.2, seed=0)
    >>> phg2st.tl.impute(section, prior=phg2st.tl.learn_prior(cells))
    """
    from ..models import PHG2ST

    check_gene_names(genes)
    rows = np.arange(cells.n_obs)
    if rows.size > _MOST_CELLS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _MOST_CELLS, replace=False))
    counts = _counts(Reading(counts_layer=counts_layer, gex_only=gex_only), cells, rows, genes, n_top_genes)
    return PHG2ST.of_cells(
        *counts, n_components=n_components, name=name, tissue=tissue, species=species_of(cells.var_names)
    )


def _counts(
    reading: Reading, data: AnnData, rows: Any, genes: Sequence[str] | None, n_top: int
) -> tuple[Any, list[str]]:
    """Counts of the genes to learn, and their names."""
    if genes is not None:
        return reading.counts(data, rows, genes=genes)[0], list(genes)
    read = reading.read(data, rows)
    sums = np.where(read.genes & ~read.lacking, np.asarray(read.counts.sum(axis=0), dtype=np.float64).ravel(), 0.0)
    columns = np.sort(np.argsort(-sums, kind="stable")[: min(n_top, int((sums > 0).sum()))])
    return read.counts[:, columns], [str(gene) for gene in data.var_names[columns]]
