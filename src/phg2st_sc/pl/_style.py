"""What all pictures share: colors that everyone can tell apart, axes to draw into, and how a picture ends."""

from __future__ import annotations

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


def new_axes(ax: Axes | None) -> Axes:
    """The axes that were given, or those of a new figure that stays legible in one column of a page."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=_SIZE, layout="constrained")[1]


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
