"""Which spots to measure next, over the tissue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._docs import documented
from .._reading import Reading, full_mask
from .._slide import is_true, spots_table
from .._text import quoted
from .._warn import one_message_per_fault
from ._spots import Tissue
from ._style import BLUE, NOTHING, RED, finish, new_axes

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData

_BLOCK = "block"
"""In the record of how spots were suggested."""
_MOST_NUMBERS = 25
"""Suggested spots up to which their order is written into them."""
_WIDER, _OTHERS = 1.4, 0.4
"""Width of suggested spots and of those that are neither, to that of measured ones."""


@one_message_per_fault
@documented
def suggested(
    data: AnnData | SpatialData,
    *,
    key: str = "suggested",
    prompt_mask: Any = None,
    slide: str | None = None,
    image: bool = True,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    size: float = 1.0,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw over the tissue which spots to measure next, and which were measured.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.tl.suggest_spots` was run on it.
    key
        Column of ``obs`` with the suggested spots, the ``key_added`` of :func:`phg2st_sc.tl.suggest_spots`. Up to 25 are numbered
        in the order in which to measure them; a block is of one measurement.
    {prompt_mask:so_far}
    {slide:drawn}
    {image:under} {slide_key} {table_key} {coordinate_system}
    size
        Factor on the width of the spots.
    {ax} {title} {show} {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no such column, or no slide of that name.

    Notes
    -----
    Reads ``obs[key]``, ``obs["<key>_rank"]``, ``obs["prompt"]``, ``obsm["spatial"]`` and ``uns["spatial"]``; writes nothing.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=80, n_genes=30, image=False, progress=False)
    >>> phg2st.tl.suggest_spots(adata, n=8, progress=False)
    >>> ax = phg2st.pl.suggested(adata)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['8 suggested', '72 others']
    """
    reading = Reading.among(locals())
    table = spots_table(data, table_key)
    if key not in table.obs:
        columns = quoted(str(name) for name in table.obs.columns) or "none"
        msg = f"There is no obs[{key!r}] with suggested spots: call `phg2st_sc.tl.suggest_spots(data)`. Columns there are: {columns}."
        raise KeyError(msg)
    tissue = Tissue.of(data, reading, slide, image=image)
    rows = tissue.slide.rows
    which, order = is_true(table.obs[key])[rows], _order(table, key, rows)
    measured = np.zeros(which.size, dtype=bool)
    if prompt_mask is not None or _keys.PROMPT in table.obs:
        measured = full_mask(table, prompt_mask)[rows] & ~which
    axis = new_axes(ax)
    tissue.draw(axis)
    tissue.scale_bar(axis)
    others = ~which & ~measured
    tissue.spots(axis, others, size=_OTHERS * size, facecolors=NOTHING)
    tissue.spots(axis, measured, size=size, facecolors=BLUE)
    tissue.spots(axis, which, size=_WIDER * size, facecolors=RED, edgecolors="white", linewidths=0.5)
    if order is not None and which.sum() <= _MOST_NUMBERS:
        for (x, y), number in zip(tissue.slide.positions[which], order[which], strict=True):
            axis.text(x, y, str(number), ha="center", va="center", fontsize="x-small")
    _legend(axis, which.sum(), measured.sum(), others.sum())
    axis.set_title(title or "")
    finish(axis, save=save, show=show)
    return axis


def _order(table: AnnData, key: str, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Place of each spot in the order of the suggestions, where that means something."""
    record = table.uns.get(_keys.suggestion_record(key), {})
    if _keys.rank(key) not in table.obs or _BLOCK in str(record.get(_keys.DESIGN, "")):
        return None
    return table.obs[_keys.rank(key)].to_numpy(dtype=np.int64)[rows]


def _legend(axis: Axes, n_suggested: int, n_measured: int, n_others: int) -> None:
    from matplotlib.lines import Line2D

    groups = (
        (n_suggested, "suggested", RED, 6), (n_measured, "measured", BLUE, 5), (n_others, "others", NOTHING, 4),
    )  # fmt: skip
    handles = [
        Line2D([], [], marker="o", linestyle="", color=color, markersize=width, label=f"{number:,} {word}")
        for number, word, color, width in groups
        if number
    ]
    axis.legend(
        handles=handles, ncols=3, fontsize="small", frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.06),
        handletextpad=0.1, columnspacing=1.0,
    )  # fmt: skip
