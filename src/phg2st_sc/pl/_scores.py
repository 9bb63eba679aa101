"""The score of every gene, beside what a perfect prediction could reach."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._docs import documented
from .._text import quoted
from ._columns import METHOD, check_columns, have, methods_of
from ._style import GRAY, LINES, MARKERS, NOTHING, finish, legend_above, new_axes, open_frame

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_GENE, _CEILING, _PRIMARY = "gene", "ceiling", "pcc"
_CEILINGS = {"pcc": _CEILING, "pcc_unsmoothed": "ceiling_unsmoothed"}
_CALL = "phg2st_sc.tl.evaluate(data)"
_MOST_NAMES = 40
"""Genes up to which each has a line with its name; more are points in the order of their scores."""
_RASTER = 2000
_LINE = 0.2
"""Height of a line with a name in inches."""


@documented
def scores(
    scores: pd.DataFrame,
    *,
    score: str = _PRIMARY,
    methods: str | Sequence[str] | None = None,
    genes: Sequence[str] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the score of every gene, the best first, beside its noise ceiling.

    Up to 40 genes have a line each, with a gray bar from the score to the ceiling; more are points from left to right, ceilings
    in gray. Scores of several sections are averaged.

    Parameters
    ----------
    {scores:evaluate}
    score
        What to draw. ``"pcc"`` and ``"pcc_unsmoothed"`` have a ceiling.
    methods
        Which predictions; by default all. Genes are in the order of the first one.
    genes
        Which genes; by default all.
    {ax} {title} {show} {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no such score.
    ValueError
        If no gene has one, or a gene or method is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> import phg2st_sc as phg2st
    >>> table = pd.DataFrame({"gene": ["A", "B", "C"], "pcc": [0.2, 0.5, 0.1], "ceiling": [0.4, 0.7, 0.6]})
    >>> ax = phg2st.pl.scores(table)
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['B', 'A', 'C']
    """
    check_columns(scores, [_GENE, score], made_by=_CALL)
    if genes is not None:
        scores = _only(scores, genes)
    found = _by_gene(scores, score, methods)
    order = found.iloc[:, 0].sort_values(ascending=False, kind="stable").index
    found, ceiling = found.loc[order], _ceiling(scores, score, order)
    named = order.size <= _MOST_NAMES
    axis = new_axes(ax, height=_LINE * order.size + 1.0 if named else None)
    draw = _lines if named else _cloud
    draw(axis, found, ceiling, score)
    legend_above(axis, title)
    open_frame(axis)
    finish(axis, save=save, show=show)
    return axis


def _only(scores: pd.DataFrame, genes: Sequence[str]) -> pd.DataFrame:
    asked = [genes] if isinstance(genes, str) else list(genes)
    unknown = set(asked).difference(scores[_GENE])
    if unknown or not asked:
        msg = f"{len(unknown)} of {len(asked)} `genes` have no score: {quoted(sorted(unknown))}."
        raise ValueError(msg)
    return scores[scores[_GENE].isin(asked)]


def _by_gene(scores: pd.DataFrame, score: str, methods: str | Sequence[str] | None) -> pd.DataFrame:
    """(genes, methods) means over sections; genes without a score of the first method are left out."""
    rows = have(scores, score)
    if METHOD in scores:
        means = rows.groupby([METHOD, _GENE], sort=False)[score].mean().unstack(METHOD)
        means = means.reindex(columns=methods_of(scores, methods))
    else:
        means = rows.groupby(_GENE, sort=False)[score].mean().to_frame(score)
    means = means[means.iloc[:, 0].notna()]
    if means.empty:
        raise ValueError(f"No gene has a score {score!r}: nothing can be drawn.")
    return means


def _ceiling(scores: pd.DataFrame, score: str, genes: pd.Index) -> pd.Series:
    """Mean ceiling of every gene over sections, NaN where there is none."""
    column = _CEILINGS.get(score, "")
    if column not in scores:
        return pd.Series(np.nan, index=genes)
    return have(scores, column).groupby(_GENE)[column].mean().reindex(genes)


def _lines(axis: Axes, found: pd.DataFrame, ceiling: pd.Series, score: str) -> None:
    heights = np.arange(len(found))[::-1]
    first = found.iloc[:, 0].to_numpy()
    axis.hlines(heights, np.fmin(first, ceiling), np.fmax(first, ceiling), color=NOTHING, linewidth=1.5, zorder=1)
    axis.plot(ceiling, heights, "|", color=GRAY, markersize=9, markeredgewidth=2, label=_words(ceiling))
    for name, color, marker in zip(found, cycle(LINES), cycle(MARKERS)):
        axis.plot(found[name], heights, marker, color=color, markersize=5, label=str(name))
    axis.set_yticks(heights, found.index, fontsize="small", fontstyle="italic")
    axis.set(xlabel=score, ylim=(-0.7, len(found) - 0.3))


def _cloud(axis: Axes, found: pd.DataFrame, ceiling: pd.Series, score: str) -> None:
    places, small = np.arange(1, len(found) + 1), float(np.clip(3000 / len(found), 0.6, 3))
    many = len(found) > _RASTER
    axis.plot(places, ceiling, "o", color=NOTHING, markersize=small, label=_words(ceiling), rasterized=many)
    for name, color, marker in zip(found, cycle(LINES), cycle(MARKERS)):
        mean = found[name].mean()
        label = f"{name}, mean {mean:.2f}"
        axis.plot(places, found[name], marker, color=color, markersize=small, label=label, rasterized=many)
    axis.axhline(0, color=GRAY, linewidth=0.8, zorder=0)
    axis.set(xlabel=f"{len(found):,} genes, the best first", ylabel=score)


def _words(ceiling: pd.Series) -> str:
    return "noise ceiling" if ceiling.notna().any() else "_nolegend_"
