"""Means of per-gene tables: over genes, then over masks and sections, by patient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from ._ceiling import ceiling_of

_CEILINGS = {"half_r": "ceiling", "half_r_unsmoothed": "ceiling_unsmoothed"}
LEVELS = ("method", "patient", "section", "mask")
"""Columns that tell scored units apart, where present."""


def describe(table: pd.DataFrame, scores: Sequence[str]) -> dict[str, Any]:
    """Means over genes and counts of dropped genes, nested by method where the table has several."""
    if "method" not in table:
        return _describe(table, scores)
    parts = {method: _describe(rows, scores) for method, rows in table.groupby("method", sort=False)}
    return {key: {method: part[key] for method, part in parts.items()} for key in next(iter(parts.values()))}


def _describe(table: pd.DataFrame, scores: Sequence[str]) -> dict[str, Any]:
    described: dict[str, Any] = {"n_genes_dropped": int(table["pcc"].isna().sum()), "means": _means(table, scores)}
    if "top" in table:
        top = table[table["top"]]
        described |= {"n_genes_top": len(top), "means_top": _means(top, scores)}
    return described


def _means(table: pd.DataFrame, scores: Sequence[str]) -> dict[str, float]:
    means = table[list(scores)].mean()
    return {str(name): float(value) for name, value in _with_ceilings(means.to_frame().T).iloc[0].items()}


def _with_ceilings(means: pd.DataFrame) -> pd.DataFrame:
    """Replace mean ceilings by the ceilings of the mean correlations of halves."""
    for r, ceiling in _CEILINGS.items():
        if r in means and ceiling in means:
            means[ceiling] = ceiling_of(means[r])
    return means


def summarize(scores: pd.DataFrame, *, by: str | Sequence[str] = ("method", "section")) -> pd.DataFrame:
    """Means over genes of a per-gene table, averaged over masks, then sections, then patients.

    Each step averages what the step before left: a section with many masks, or a patient with many sections, weighs no
    more than another.

    Parameters
    ----------
    scores
        Rows of :func:`~phg2st_sc.metrics.score_section` (or of :func:`phg2st_sc.tl.evaluate`), with any of the
        columns ``method``, ``patient``, ``section``, ``mask``.
    by
        The columns that remain, e.g. ``"method"`` for one line per method, or ``("method", "patient")``.

    Returns
    -------
    Indexed by ``by``; the score columns, ``n_genes`` and ``n_genes_dropped`` (constant truth), and ``pcc_top`` where
    the table marks top genes. ``ceiling`` is, per section and mask, the ceiling of the mean ``half_r``.

    Raises
    ------
    ValueError
        If a column of ``by`` is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from phg2st_sc.metrics import summarize
    >>> table = pd.DataFrame({"method": ["idw", "idw"], "section": ["A", "A"], "gene": ["x", "y"], "pcc": [0.2, 0.4]})
    >>> summarize(table, by="method")["pcc"].round(2).tolist()
    [0.3]
    """
    keep = [by] if isinstance(by, str) else list(by)
    missing = [name for name in keep if name not in scores]
    if missing:
        msg = f"The table has no column {missing[0]!r}; it can be summarised by {_present(scores)}."
        raise ValueError(msg)
    units = list(dict.fromkeys([*keep, *_present(scores)]))
    numbers = scores.select_dtypes("number").columns
    values = [name for name in numbers if name not in (*units, "gene", "top")]
    grouped = scores.groupby(units, sort=False, observed=True, dropna=False)
    means = _with_ceilings(grouped[values].mean())
    means["n_genes"] = grouped.size()
    means["n_genes_dropped"] = grouped["pcc"].agg(lambda column: int(column.isna().sum()))
    if "top" in scores:
        means["pcc_top"] = scores[scores["top"]].groupby(units, sort=False, observed=True, dropna=False)["pcc"].mean()
    for level in ("mask", "section", "patient", "method"):
        if level in units and level not in keep:
            units.remove(level)
            means = means.groupby(level=units, sort=False, dropna=False).mean() if units else means
    return means


def _present(scores: pd.DataFrame) -> list[str]:
    return [name for name in LEVELS if name in scores]
