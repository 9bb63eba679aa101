"""How many held-out values lie within intervals, against how many should."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import pandas as pd

from .._docs import documented
from ._columns import check_columns, have
from ._style import GRAY, LINES, MARKERS, finish, new_axes, open_frame

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_GROUP = "group"
_MARGIN = 0.1


@documented
def coverage(
    coverages: pd.DataFrame,
    *,
    group: str = _GROUP,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the share of held-out values that lay within their intervals, against the level of the intervals.

    On the dashed line intervals are what they say. Below it they are too narrow: the prediction is surer than it should be.

    Parameters
    ----------
    coverages
        Columns ``level``, the nominal level, and ``coverage``, the share that was covered, both from 0 to 1; and ``group``
        where there are several curves: sections, or thirds of the distance to the nearest prompt. Rows of one level and group
        are averaged.
    group
        Column that tells the curves apart.
    {ax} {title} {show} {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no column ``level`` or ``coverage``.
    ValueError
        If no row has both, or one is a percentage.

    Examples
    --------
    >>> import pandas as pd
    >>> import phg2st_sc as phg2st
    >>> ax = phg2st.pl.coverage(pd.DataFrame({"level": [0.5, 0.8, 0.9], "coverage": [0.52, 0.79, 0.88]}))
    >>> ax.get_xlabel()
    'level of the interval'
    """
    from matplotlib.ticker import PercentFormatter

    check_columns(coverages, ["level", "coverage"], made_by="pandas.DataFrame({'level': ..., 'coverage': ...})")
    rows = have(coverages, "level", "coverage")
    if rows.empty:
        raise ValueError("No row has both a level and a coverage: there is nothing to draw.")
    values = rows[["level", "coverage"]].to_numpy(dtype=float)
    if values.min() < 0 or values.max() > 1:
        raise ValueError("`level` and `coverage` are shares from 0 to 1: divide percentages by 100.")
    axis = new_axes(ax)
    axis.plot([0, 1], [0, 1], "--", color=GRAY, linewidth=1)
    parts = rows.groupby(group, sort=False) if group in rows else [("", rows)]
    for (name, part), color, marker in zip(parts, cycle(LINES), cycle(MARKERS)):
        line = part.groupby("level")["coverage"].mean()
        axis.plot(line.index, line, marker=marker, markersize=4, color=color, linewidth=1.4, label=str(name))
    low = max(0.0, float(values.min()) - _MARGIN)
    axis.set(
        xlim=(low, 1), ylim=(low, 1), aspect="equal", xlabel="level of the interval", ylabel="held-out values within it"
    )
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_title(title or "")
    if group in rows:
        axis.legend(fontsize="small", frameon=False, loc="upper left")
    open_frame(axis)
    finish(axis, save=save, show=show)
    return axis
