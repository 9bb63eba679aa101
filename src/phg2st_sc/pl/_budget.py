"""What accuracy to expect of how many measured spots."""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING

import pandas as pd

from .._docs import documented
from .._text import quoted
from ._columns import check_columns, have
from ._style import LINES, MARKERS, finish, legend_above, new_axes, open_frame, shares_on_x

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_DESIGN, _SLIDE = "design", "slide"
_CALL = "phg2st_sc.tl.expected_accuracy(data)"


@documented
def budget(
    accuracy: pd.DataFrame,
    *,
    slide: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the accuracy that is to be expected of a budget, before anything more is measured.

    A line for each way to choose the spots; dotted are its bounds.

    Parameters
    ----------
    accuracy
        Columns ``fraction``, the share of spots that is measured, ``expected``, ``lower``, ``upper`` and ``design``, as
        :func:`phg2st_sc.tl.expected_accuracy` returns them; ``lower``, ``upper`` and ``design`` may be left out.
    slide
        Which slide to draw, where there is a column ``slide`` with several; by default the first.
    {ax} {title} {show} {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no column ``fraction`` or ``expected``, or no slide of that name.
    ValueError
        If no row has both.

    Examples
    --------
    >>> import pandas as pd
    >>> import phg2st_sc as phg2st
    >>> accuracy = pd.DataFrame({"fraction": [0.05, 0.1, 0.2], "expected": [0.15, 0.2, 0.24]})
    >>> phg2st.pl.budget(accuracy).get_ylabel()
    'expected correlation'
    """
    check_columns(accuracy, ["fraction", "expected"], made_by=_CALL)
    rows = have(_of_slide(accuracy, slide), "fraction", "expected").sort_values("fraction", kind="stable")
    if rows.empty:
        raise ValueError(f"No row has both a fraction and an expected accuracy. `{_CALL}` makes them.")
    axis = new_axes(ax)
    parts = rows.groupby(_DESIGN, sort=False) if _DESIGN in rows else [("", rows)]
    for (name, part), color, marker in zip(parts, cycle(LINES), cycle(MARKERS)):
        axis.plot(
            part["fraction"],
            part["expected"],
            marker=marker,
            markersize=4,
            color=color,
            linewidth=1.4,
            label=str(name) or None,
        )
        if {"lower", "upper"} <= set(part):
            axis.fill_between(part["fraction"], part["lower"], part["upper"], color=color, alpha=0.08, linewidth=0)
            for bound in ("lower", "upper"):
                axis.plot(part["fraction"], part[bound], ":", color=color, linewidth=1.2)
    shares_on_x(axis, rows["fraction"])
    axis.set_ylabel("expected correlation")
    legend_above(axis, title)
    open_frame(axis)
    finish(axis, save=save, show=show)
    return axis


def _of_slide(accuracy: pd.DataFrame, slide: str | None) -> pd.DataFrame:
    if _SLIDE not in accuracy:
        return accuracy
    there = list(dict.fromkeys(accuracy[_SLIDE].astype(str)))
    if slide is not None and str(slide) not in there:
        raise KeyError(f"No slide named {slide!r}; there are: {quoted(there)}.")
    return accuracy[accuracy[_SLIDE].astype(str) == (there[0] if slide is None else str(slide))]
