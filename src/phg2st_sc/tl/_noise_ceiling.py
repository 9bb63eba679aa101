"""How well a perfect prediction could score, gene by gene and section by section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._docs import documented
from .._progress import part, parts
from .._reading import Reading, full_mask
from .._slide import Slide, is_target
from .._text import quoted
from .._threads import limited_threads
from .._warn import one_message_per_fault
from ..metrics import ceiling_of, half_correlations, neighbor_operator

_FEWEST = 3


@one_message_per_fault
@limited_threads()
@documented
def noise_ceiling(
    data: Any,
    *,
    spots: Any = None,
    genes: Sequence[str] | None = None,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    patient_key: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    n_splits: int = 5,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Correlation that a perfect prediction would reach on counts as noisy as these, by gene and section.

    Counts are split into two halves by fair coins; see :func:`phg2st_sc.metrics.noise_ceiling`. A score reads as a share of what is
    reachable, ``pcc / ceiling``; :func:`phg2st_sc.tl.evaluate` has it at the held-out spots of a prediction.

    Parameters
    ----------
    {data}
        With raw counts.
    spots
        Spots to take: boolean array over all rows, boolean Series by obs name, or an ``obs`` column. ``None``: all with counts.
    genes
        The panel, over which the totals of the spots are taken. ``None``: all genes.
    {counts_layer} {gex_only} {slide_key} {table_key} {coordinate_system} {patient_key} {pitch} {pitch_um} {n_splits} {seed} {progress:long}

    Returns
    -------
    One row per section and gene: ``section``, ``patient`` (where known), ``gene``, ``n_counts``, ``half_r``, the correlation of two
    halves, and ``ceiling``. NaN for a gene without counts. Single genes are noisy; ``.attrs["ceilings"]`` holds the ceiling of the mean
    over genes, a bound on a mean correlation, by section.

    Raises
    ------
    KeyError
        If a layer, column or gene does not exist.
    ValueError
        If counts are no counts, or fewer than 3 spots of a section have any.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=40, image=False)
    >>> ceiling = phg2st.tl.noise_ceiling(adata)
    >>> bool(ceiling["ceiling"].between(0, 1).all())
    True
    """
    reading = Reading.among(locals())
    with parts(progress):
        slides = reading.slides(data)
        tables = [
            _of(slide, reading, spots, genes, n_splits, seed)
            for slide in part(slides, desc="noise ceiling", unit="slide")
        ]
    out = pd.concat(tables, ignore_index=True)
    means = out.groupby("section", sort=False)["half_r"].mean()
    out.attrs["ceilings"] = {str(name): float(ceiling_of(r)) for name, r in means.items()}
    return out


def _of(
    slide: Slide, reading: Reading, spots: Any, genes: Sequence[str] | None, n_splits: int, seed: int
) -> pd.DataFrame:
    kept = ~is_target(slide.table, slide.rows)
    if spots is not None:
        kept &= full_mask(slide.table, spots)[slide.rows]
    counts, _ = reading.counts(slide.table, slide.rows[kept], genes=_names(slide, reading, genes))
    counted = np.asarray(counts.sum(axis=1)).reshape(-1) > 0
    if counted.sum() < _FEWEST:
        msg = f"Only {counted.sum()} of the spots of slide {slide.name!r} have counts; a noise ceiling needs {_FEWEST} or more."
        raise ValueError(msg)
    counts = counts[counted]
    near = neighbor_operator(slide.pitch_positions()[kept][counted])
    r = half_correlations(counts, (near,), seed=seed, n_splits=n_splits)[0]
    labels = {"section": slide.name} | ({"patient": slide.patient} if slide.patient is not None else {})
    columns = {
        "gene": _names(slide, reading, genes),
        "n_counts": np.asarray(counts.sum(axis=0)).reshape(-1),
        "half_r": r,
        "ceiling": ceiling_of(r),
    }
    return pd.DataFrame({**labels, **columns})


def _names(slide: Slide, reading: Reading, genes: Sequence[str] | None) -> list[str]:
    there = slide.table.var_names
    if genes is None:
        return list(there[reading.genes(slide.table)])
    unknown = sorted(set(genes).difference(there))
    if unknown:
        raise KeyError(f"{len(unknown)} of `genes` are not in the object: {quoted(unknown)}.")
    return list(genes)
