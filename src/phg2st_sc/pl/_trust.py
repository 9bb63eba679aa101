"""What was promised of every gene against what was reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._docs import documented
from ._columns import METHOD, check_columns, have, methods_of
from ._style import BLUE, GRAY, finish, new_axes, open_frame, over

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_CEILING, _PRIMARY = "ceiling", "pcc"
_CALL = "phg2st_sc.tl.evaluate(data)"
_MARGIN = 0.05


@documented
def trust(
    scores: pd.DataFrame,
    *,
    score: str = _PRIMARY,
    method: str | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the score that was promised of every gene before anything was scored, against the one it reached.

    A point for each gene of each section, in the color of its noise ceiling where there is one: a gene that can hardly be
    scored lies off the line for that reason. On the dashed line the promise was kept.

    Parameters
    ----------
    {scores:evaluate}
        With a column ``trust``, of a prediction that says how far each gene can be believed.
    score
        Column with what was reached.
    method
        Of which prediction. ``None``: the first that promised something.
    {ax} {title} {show} {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no column ``trust`` or ``score``.
    ValueError
        If no gene has both, or there is no such method.

    Examples
    --------
    >>> import pandas as pd
    >>> import phg2st_sc as phg2st
    >>> scores = pd.DataFrame({"trust": [0.1, 0.3, 0.5], "pcc": [0.2, 0.2, 0.6], "ceiling": [0.4, 0.7, 0.9]})
    >>> phg2st.pl.trust(scores).get_xlabel()
    'promised (3 genes)'
    """
    check_columns(scores, ["trust", score], made_by=_CALL)
    rows = have(_of_method(scores, method), "trust", score)
    if rows.empty:
        raise ValueError(
            f"No gene has both a trust and a {score!r}: predict with `phg2st_sc.tl.impute(data, uncertainty=True)` "
            f"and score it with `{_CALL}`."
        )
    axis = new_axes(ax)
    promised, reached = rows["trust"].to_numpy(dtype=float), rows[score].to_numpy(dtype=float)
    _points(axis, promised, reached, rows)
    low, high = min(promised.min(), reached.min(), 0.0) - _MARGIN, max(promised.max(), reached.max()) + _MARGIN
    axis.plot([low, high], [low, high], "--", color=GRAY, linewidth=1, zorder=1)
    axis.set(
        xlim=(low, high),
        ylim=(low, high),
        aspect="equal",
        xlabel=f"promised ({len(rows):,} genes)",
        ylabel=f"reached ({score})",
    )
    axis.locator_params(nbins=5)
    words = _words(promised, reached, _reachable(scores) if score == _PRIMARY else None)
    axis.text(0.0, 1.02, words, transform=axis.transAxes, va="bottom", fontsize="small")  # inside are points
    axis.set_title(title or "", pad=over(1 + words.count("\n")))
    open_frame(axis)
    finish(axis, save=save, show=show)
    return axis


def _of_method(scores: pd.DataFrame, method: str | None) -> pd.DataFrame:
    if METHOD not in scores:
        return scores
    promising = scores[scores["trust"].notna()]
    names = methods_of(scores if method is not None else promising, method)
    return scores[scores[METHOD].isin(names[:1])]


def _points(axis: Axes, promised: np.ndarray, reached: np.ndarray, rows: pd.DataFrame) -> None:
    size = float(np.clip(4000 / len(rows), 4, 24))
    style: dict[str, Any] = {"s": size, "linewidths": 0, "alpha": 0.8, "zorder": 2, "rasterized": len(rows) > 3000}
    ceiling = rows.get(_CEILING, pd.Series(np.nan, index=rows.index)).to_numpy(dtype=float)
    if not np.isfinite(ceiling).any():
        axis.scatter(promised, reached, color=BLUE, **style)
        return
    values = np.ma.masked_invalid(ceiling)
    points = axis.scatter(promised, reached, c=values, cmap="viridis", vmin=0.0, vmax=1.0, plotnonfinite=True, **style)
    figure: Any = axis.get_figure()
    bar = figure.colorbar(points, ax=axis, aspect=20, shrink=0.85, pad=0.02, label="noise ceiling")
    bar.outline.set_visible(False)
    bar.solids.set_alpha(1.0)


def _reachable(scores: pd.DataFrame) -> float | None:
    """Rank correlation that noise in the held-out counts leaves within reach, where one section was scored."""
    sections = scores.attrs.get("sections", {})
    if len(sections) != 1:
        return None
    value = next(iter(sections.values())).get("promise", {}).get("rank_reachable")
    return None if value is None or not np.isfinite(value) else float(value)


def _words(promised: np.ndarray, reached: np.ndarray, reachable: float | None) -> str:
    means = f"mean {promised.mean():.2f} promised, {reached.mean():.2f} reached"
    if promised.size < 3 or np.ptp(promised) == 0 or np.ptp(reached) == 0:
        return means
    from scipy.stats import spearmanr

    within_reach = "" if reachable is None else f" of {reachable:.2f} within reach"
    return f"{means}\nSpearman {spearmanr(promised, reached).statistic:.2f}{within_reach}"
