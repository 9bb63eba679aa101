"""The score against the share of spots that was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._docs import documented
from ._columns import METHOD, check_columns, have, methods_of
from ._style import GRAY, LINES, MARKERS, finish, open_frame, shares_on_x

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_SHARE, _REGIME, _CEILING = "fraction", "regime", "noise_ceiling"
_WIDTH, _HEIGHT = 3.4, 3.0
_CALL = "{fraction: phg2st_sc.tl.benchmark(adatas, fraction=fraction) for fraction in (0.05, 0.1, 0.2)}"


@documented
def fraction(
    scores: Mapping[float, pd.DataFrame] | pd.DataFrame,
    *,
    metric: str = "pcc",
    protocol: str = "honest",
    methods: str | Sequence[str] | None = None,
    ax: NDArray[Any] | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> NDArray[Any]:
    """Draw how a score grows with the share of spots that is measured: a line for each method, a panel for each way to draw prompts.

    Parameters
    ----------
    {scores:by_share}
        Masks of :func:`phg2st_sc.prompts.nested_masks`, the smaller within the larger, make the smoothest curves.
    metric
        What to draw.
    {protocol:rows}
    methods
        Which methods; by default all.
    {ax:grid} {title} {show} {save}

    Returns
    -------
    Array of axes, (1, ways to draw prompts).

    Raises
    ------
    KeyError
        If there is no column ``fraction``, or no such score.
    ValueError
        If there is nothing to draw, or a method is not there.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=100, n_genes=30, image=False, progress=False)
    >>> masks = phg2st.prompts.nested_masks(adata.obsm["spatial"], [0.1, 0.3], "random", seed=0)
    >>> scores = {}
    >>> for share, mask in masks.items():
    ...     phg2st.tl.impute(adata, prompt_mask=mask, method="kriging", progress=False)
    ...     scores[share] = phg2st.tl.evaluate(adata, layer="kriging", n_splits=1, progress=False)
    >>> axes = phg2st.pl.fraction(scores)
    >>> axes[0, 0].get_xlabel()
    'spots measured (%)'
    """
    curves = pd.concat([_means(share, part, metric, protocol) for share, part in _by_share(scores)], ignore_index=True)
    ceilings, curves = curves[curves[METHOD] == _CEILING], curves[curves[METHOD] != _CEILING]
    curves = curves[curves[METHOD].isin(methods_of(curves, methods))]
    curves = have(curves, "value").sort_values(_SHARE, kind="stable")
    if curves.empty:
        raise ValueError(f"No method has a score {metric!r}: nothing can be drawn.")
    regimes = list(dict.fromkeys(curves[_REGIME]))
    axes = _grid(ax, len(regimes))
    for axis, regime in zip(axes[0], regimes, strict=True):
        _panel(axis, curves[curves[_REGIME] == regime], list(dict.fromkeys(curves["label"])))
        top = ceilings[ceilings[_REGIME] == regime].sort_values(_SHARE)
        axis.plot(
            top[_SHARE], top["value"], "--", color=GRAY, linewidth=1.2, label="noise ceiling" if len(top) else None
        )
        shares_on_x(axis, curves[_SHARE])
        axis.set_title(regime)
        open_frame(axis)
    axes[0, 0].set_ylabel(metric)
    _legend(axes[0])
    if title is not None:
        axes[0, 0].get_figure(root=True).suptitle(title)
    finish(axes, save=save, show=show)
    return axes


def _by_share(scores: Mapping[float, pd.DataFrame] | pd.DataFrame) -> list[tuple[float, pd.DataFrame]]:
    """Shares of the spots, and the scores of each."""
    if isinstance(scores, Mapping):
        if not scores:
            raise ValueError(f"There are no scores to draw: `{_CALL}` makes them.")
        return [(float(share), part) for share, part in scores.items()]
    check_columns(scores, [_SHARE], made_by=_CALL)
    return [(share, scores[scores[_SHARE] == share]) for share in scores[_SHARE].astype(float).unique()]


def _means(share: float, scores: pd.DataFrame, metric: str, protocol: str) -> pd.DataFrame:
    """Rows of fraction, regime, method, label and value, one a method, and one for the noise ceiling."""
    if "metric" in scores and "value" in scores:
        from .._benchmark import summarize_benchmark

        rows = summarize_benchmark(scores, metric=metric, protocol=protocol)["mean"].rename("value").reset_index()
        rows = rows[(rows["learned"] != "reference") | (rows[METHOD] == _CEILING)]
        both = rows.groupby([_REGIME, METHOD])["learned"].transform("nunique") > 1
        label = rows[METHOD].where(~both, rows[METHOD] + " (" + rows["learned"] + ")")
    else:
        rows = _of_genes(scores, metric)
        label = rows[METHOD]
    return rows.assign(fraction=share, label=label)


def _of_genes(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The same of a table by gene."""
    from ..metrics import summarize

    check_columns(scores, [METHOD, metric], made_by="phg2st_sc.tl.evaluate(data)")
    means = summarize(scores, by=METHOD)
    rows = [(str(method), float(value)) for method, value in means[metric].items()]
    if metric == "pcc" and "ceiling" in means:
        rows.append((_CEILING, float(means["ceiling"].mean())))
    return pd.DataFrame(rows, columns=[METHOD, "value"]).assign(regime="")


def _grid(ax: Any, n_panels: int) -> NDArray[Any]:
    import matplotlib.pyplot as plt

    if ax is None:
        size = (_WIDTH * n_panels + 0.6, _HEIGHT)
        return plt.subplots(1, n_panels, figsize=size, sharey=True, squeeze=False, layout="constrained")[1]
    axes = np.atleast_1d(np.asarray(ax, dtype=object))
    if axes.size != n_panels:
        msg = f"`ax` holds {axes.size} axes, and there are {n_panels} ways to draw prompts."
        raise ValueError(msg)
    return axes.reshape(1, n_panels)


def _panel(axis: Axes, curves: pd.DataFrame, labels: Sequence[str]) -> None:
    styles = zip(labels, cycle(LINES), cycle(MARKERS))
    for label, color, marker in styles:
        line = curves[curves["label"] == label]
        if len(line):
            axis.plot(line[_SHARE], line["value"], marker=marker, markersize=4, color=color, linewidth=1.4, label=label)


def _legend(axes: NDArray[Any]) -> None:
    """One legend for all panels: below them, where the figure makes room for it."""
    figure = axes[0].get_figure(root=True)
    known = {name: one for axis in axes for one, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    style: dict[str, Any] = {"fontsize": "small", "frameon": False, "handlelength": 1.5, "columnspacing": 1.0}
    if getattr(figure.get_layout_engine(), "adjust_compatible", True):
        axes[0].legend(known.values(), known, **style)
    else:
        figure.legend(known.values(), known, ncols=3, loc="outside lower center", **style)
