"""Hyperedges over the tissue."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._docs import documented
from .._reading import Reading
from .._slide import spot_pairs, spots_table
from .._text import quoted
from .._warn import one_message_per_fault
from ._spots import Tissue
from ._style import GRAY, LINES, finish, new_axes

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData

_SPOT, _MEMBER, _CENTER = 0.35, 0.7, 1.0
"""Width of spots among lines, to the usual one."""
_PALEST = 0.25
_WIDTH, _BOLDER = 14.0, 2.0
_MANY = 5000
"""Lines from which on they are pixels in a vector file."""

_Links: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]
"""Member, centre and weight."""


@one_message_per_fault
@documented
def hypergraph(
    data: AnnData | SpatialData,
    *,
    key: str = "hypergraph",
    spots: Sequence[str] | None = None,
    slide: str | None = None,
    image: bool = True,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    linewidth: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw hyperedges over the tissue: a line from the spot that each is centred on to every member, the darker the heavier.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.pp.build_hypergraph` was run on it.
    key
        Name of the hypergraph, the ``key_added`` of :func:`phg2st_sc.pp.build_hypergraph`.
    spots
        Spots whose hyperedges are drawn in colors, by their names; by default the hyperedges of all, in one color. Of thousands
        of spots only some can be told apart.
    {slide:drawn}
    {image:under} {slide_key} {table_key} {coordinate_system}
    linewidth
        Width of the lines in points. ``None``: the thinner, the more spots there are.
    {ax} {title} {show} {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no such hypergraph, spot or slide.

    Notes
    -----
    Reads ``uns[key]``, the incidence that it names in ``obsp``, ``obsm["spatial"]`` and ``uns["spatial"]``; writes nothing.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=80, n_genes=30, image=False, progress=False)
    >>> phg2st.pp.build_hypergraph(adata, builder="position", n_neighbors=4)
    >>> ax = phg2st.pl.hypergraph(adata)
    >>> len(ax.collections[-1].get_segments())
    320
    """
    reading = Reading.among(locals())
    table = spots_table(data, table_key)
    incidence_key = table.uns.get(key, {}).get(_keys.INCIDENCE_KEY)
    if incidence_key not in table.obsp:
        msg = f"There is no hypergraph {key!r}: build it, `phg2st_sc.pp.build_hypergraph(data, key_added={key!r})`."
        raise KeyError(msg)
    tissue = Tissue.of(data, reading, slide, image=image)
    rows = tissue.slide.rows
    incidence = spot_pairs(table, incidence_key, rows).tocoo()
    axis = new_axes(ax)
    tissue.draw(axis)
    tissue.scale_bar(axis)
    tissue.spots(axis, size=_SPOT, facecolors=GRAY, zorder=2)
    members, centers, weights = incidence.row, incidence.col, incidence.data
    between = members != centers
    links = members[between], centers[between], weights[between]
    linewidth = float(np.clip(_WIDTH / rows.size**0.5, 0.15, 0.8)) if linewidth is None else linewidth
    if spots is None:
        _lines(axis, tissue, links, LINES[0], linewidth)
    else:
        _some(axis, tissue, links, _numbers(table.obs_names[rows], spots, tissue.slide.name), linewidth)
    axis.set_title(title or "")
    finish(axis, save=save, show=show)
    return axis


def _lines(axis: Axes, tissue: Tissue, links: _Links, color: str, linewidth: float) -> None:
    """Lines between the members and centres of hyperedges."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba

    members, centers, weights = links
    shades = np.tile(to_rgba(color), (weights.size, 1))
    shades[:, 3] = np.clip(weights / weights.max(initial=1e-12), _PALEST, 1.0)
    ends = np.stack([tissue.slide.positions[members], tissue.slide.positions[centers]], axis=1)
    axis.add_collection(
        LineCollection(list(ends), colors=shades, linewidths=linewidth, rasterized=weights.size > _MANY, zorder=1),
        autolim=False,
    )


def _some(axis: Axes, tissue: Tissue, links: _Links, chosen: Sequence[int], linewidth: float) -> None:
    """Some hyperedges, each in a color of its own."""
    for center, color in zip(chosen, cycle(LINES)):
        here = links[1] == center
        _lines(axis, tissue, (links[0][here], links[1][here], links[2][here]), color, _BOLDER * linewidth)
        for spots, size in ((links[0][here], _MEMBER), ([center], _CENTER)):
            which = np.zeros(tissue.slide.n_spots, dtype=bool)
            which[spots] = True
            edge = {"edgecolors": "black", "linewidths": 0.8} if size == _CENTER else {}
            tissue.spots(axis, which, size=size, facecolors=color, zorder=3, **edge)


def _numbers(names: pd.Index, spots: Sequence[str], slide: str) -> list[int]:
    asked = [spots] if isinstance(spots, str) else list(spots)
    numbers = names.get_indexer(pd.Index(asked))
    missing = [name for name, number in zip(asked, numbers, strict=True) if number < 0]
    if missing:
        raise KeyError(f"Slide {slide!r} has no spots {quoted(missing)}; its names look like {quoted(names)}.")
    return [int(number) for number in numbers]
