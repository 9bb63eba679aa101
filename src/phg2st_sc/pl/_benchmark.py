"""A benchmark as dots: one a section, under the mean of each method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .._deprecated import renamed_parameters
from .._docs import documented
from .._text import meant
from ._save import save_figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_METHOD = ["method", "learned"]
_CEILING = "noise_ceiling"
_COLORS = {"cohort": "#1d3557", "section": "#8d99ae", "reference": "#2b2d42"}
_HEIGHT = 0.28


@renamed_parameters(table="scores")
@documented
def benchmark(
    scores: pd.DataFrame,
    *,
    metric: str = "pcc",
    protocol: str = "honest",
    methods: str | Sequence[str] | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Figure:
    """Draw a score of every method: a bar for its mean, a dot for each section; one panel for each way to draw prompts.

    The noise ceiling is a dashed line, where there is one. Dark bars are methods that learned from other sections, light ones
    know the section alone.

    Parameters
    ----------
    {scores:benchmark}
    metric
        What to draw.
    {protocol:rows}
    methods
        Which methods, by label, or ``"<label>:section"`` of one form; by default all, the best first.
    {title} {show} {save}

    Returns
    -------
    The figure.

    Raises
    ------
    ValueError
        If there is nothing to draw, or a method is not there.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=80, n_genes=30, image=False, progress=False)
    >>> settings = {"folds": None, "n_masks": 1, "n_splits": 0, "progress": False}
    >>> scores = phg2st.tl.benchmark(slides, methods=["kriging", "idw"], **settings)
    >>> figure = phg2st.pl.benchmark(scores)
    """
    import matplotlib.pyplot as plt

    from .._benchmark import summarize_benchmark

    summary = summarize_benchmark(scores, metric=metric, protocol=protocol)["mean"]
    order = _order(summary, methods)
    rows = scores[(scores["metric"] == metric) & (scores["protocol"] == protocol)]
    sections = rows.groupby(["regime", *_METHOD, "section"])["value"].mean()
    regimes = list(dict.fromkeys(rows["regime"]))
    figure, axes = plt.subplots(
        1,
        len(regimes),
        figsize=(4.5 * len(regimes) + 1.5, _HEIGHT * len(order) + 1.2),
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axis, regime in zip(axes[0], regimes, strict=True):
        _panel(axis, summary.loc[regime], sections.loc[regime], order)
        axis.set_title(regime or "training")
        axis.set_xlabel(metric)
    figure.suptitle(title or "")
    if save is not None:
        save_figure(figure, save, dpi=150)
    if show:
        plt.show()
    return figure


def _order(summary: pd.Series, methods: str | Sequence[str] | None) -> list[tuple[str, str]]:
    """(method, learned) from the bottom up: on top the one whose rank is best in the mean of the panels."""
    place = summary.groupby(level="regime", sort=False).cumcount()
    ranks = place.groupby(level=_METHOD, sort=False).mean()
    ranks = ranks[ranks.index.get_level_values("learned") != "reference"]
    if methods is not None:
        there = pd.MultiIndex.from_tuples(ranks.index)
        wanted = [_found(there, one) for one in ([methods] if isinstance(methods, str) else methods)]
        ranks = ranks[ranks.index.isin([pair for found in wanted for pair in found])]
    if ranks.empty:
        raise ValueError("Nothing to draw: no method has a score.")
    return [(str(method), str(learned)) for method, learned in ranks.sort_values(ascending=False, kind="stable").index]


def _found(there: pd.MultiIndex, wanted: str) -> list[tuple[str, str]]:
    from .._benchmark import find_methods

    found = find_methods(there, wanted)
    if not found:
        names = dict.fromkeys(":".join(pair) for pair in there)
        close = meant(str(wanted), [*names, *(pair[0] for pair in there)])
        msg = f"The table has no method {wanted!r}.{close} Methods there are: {', '.join(names)}."
        raise ValueError(msg)
    return found


def _panel(axis: Axes, means: pd.Series, sections: pd.Series, order: Sequence[tuple[str, str]]) -> None:
    for height, key in enumerate(order):
        if key not in means.index:
            continue
        color = _COLORS[key[1]]
        dots = sections.loc[key].to_numpy()
        axis.barh(height, means[key], color=color, alpha=0.4)
        axis.plot(dots, np.full(dots.size, height), "o", color=color, markersize=3)
    if (_CEILING, "reference") in means.index:
        axis.axvline(means[_CEILING, "reference"], color=_COLORS["reference"], linestyle="--", linewidth=1)
    repeated = {method for method, _ in order if sum(method == other for other, _ in order) > 1}
    names = [f"{method} ({learned})" if method in repeated else method for method, learned in order]
    axis.set_yticks(range(len(order)), names)
    axis.spines[["top", "right"]].set_visible(False)
