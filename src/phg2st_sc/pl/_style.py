"""What all pictures share: colors that everyone can tell apart, axes to draw into, and how a picture ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ._save import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442",
)  # fmt: skip
"""Okabe and Ito's, told apart by color-blind eyes too."""
LINES = (BLUE, RED, GREEN, PINK, ORANGE, SKY, "black")
MARKERS = "osD^vPX"
GRAY = "#8a8a8a"
"""Of what is there for comparison."""
NOTHING = "#d0d0d0"
"""Of spots without a value."""
_SIZE = (4.2, 3.2)
_DPI = 200
_NCOLS = 2
_LEGEND = 1.3
"""Height of a line of a legend, in sizes of its font."""
_APART = 0.12
"""Least distance of written shares, as a part of the axis."""


def new_axes(ax: Axes | None, *, height: float | None = None) -> Axes:
    """The axes that were given, or those of a new figure that stays legible in one column of a page."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(_SIZE[0], height or _SIZE[1]), layout="constrained")[1]


def finish(axes: Axes | NDArray[Any], *, save: Any, show: bool) -> None:
    """Save and show the figure of some axes."""
    import matplotlib.pyplot as plt

    figure = np.asarray(axes, dtype=object).flat[0].get_figure(root=True)
    if save is not None and figure is not None:
        save_figure(figure, save, dpi=_DPI)
    if show:
        plt.show()


def open_frame(ax: Axes) -> None:
    """Take away the lines on top and on the right."""
    ax.spines[["top", "right"]].set_visible(False)


def shares_on_x(ax: Axes, shares: Iterable[float]) -> None:
    """Make x a logarithmic axis of shares of the spots, in percent; shares that lie close together are not all written."""
    values = sorted(set(map(float, shares)))
    ax.set_xscale("log")
    written = values[-1:]
    for share in values[-2::-1]:
        if np.log(written[-1] / share) >= _APART * np.log(values[-1] / values[0]):
            written.append(share)
    ax.set_xticks(written, [f"{100 * share:.3g}" for share in written])
    ax.minorticks_off()
    ax.set_xlabel("spots measured (%)")


def legend_above(ax: Axes, title: str | None) -> None:
    """Put the legend, where there is anything to tell apart, and the title over the axes: inside are points."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        ax.legend(
            handles, labels, ncols=_NCOLS, fontsize="small", frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.0),
            borderaxespad=0.2, handlelength=1.5, columnspacing=1.0,
        )  # fmt: skip
    ax.set_title(title or "", pad=over(-(-len(handles) // _NCOLS)))


def over(n_lines: int) -> float:
    """Distance in points of a title from its axes that leaves room for lines of small print."""
    import matplotlib as mpl

    return float(6.0 + _LEGEND * n_lines * mpl.rcParams["font.size"])
