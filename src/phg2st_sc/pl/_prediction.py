"""Genes over the tissue: as measured, what was known of that, and what was predicted from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._docs import documented
from .._reading import Reading
from .._warn import one_message_per_fault
from ..metrics import neighbor_operator
from ._spots import Tissue
from ._stored import Shown
from ._style import NOTHING, finish

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from spatialdata import SpatialData

    from .._slide import Slide

Column = Literal["measured", "prompts", "predicted", "std"]

_MEASURED, _PROMPTS, _PREDICTED, _STD = COLUMNS = ("measured", "prompts", "predicted", "std")
_MAP = 1.55
"""Width of a map in inches; with this four of them stay legible in one column of a page."""
_BAR = 0.55
_TITLE = 0.55
_WIDER = 1.4
"""Prompts that stand alone are drawn so much wider: else their color is not seen in a small map."""
_NEAR = 1.5
"""Pitches to the next prompt up to which they do not."""
_LEAST = 0.1
"""Least span of colors, as a part of the largest value: else a map that says nothing has all colors."""
_ENDS = (1.0, 99.0)
"""Percentiles at which colors end, so that one spot of few counts does not take all of them."""

Values = Mapping[str, tuple[NDArray[np.bool_], NDArray[np.floating]]]
"""By column: which spots have a value, and these values (spots, genes)."""


@one_message_per_fault
@documented
def prediction(
    data: AnnData | SpatialData,
    genes: str | Sequence[str],
    *,
    key: str = "phg2st",
    columns: Column | Sequence[Column] | None = None,
    slide: str | None = None,
    image: bool = True,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    radius: float = 0.0,
    size: float = 1.0,
    cmap: Any = "viridis",
    cmap_std: Any = "magma",
    vmin: float | None = None,
    vmax: float | None = None,
    figsize: tuple[float, float] | None = None,
    ax: NDArray[Any] | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> NDArray[Any]:
    """Draw genes over the tissue: measured, the prompts of the prediction, predicted, and how sure that is.

    A row for each gene, with its trust (see :func:`phg2st_sc.pl.trust`) where that is known. Measured, prompts and predicted share one color scale in each row, so that a color means the same
    amount of the gene. A measured spot is log1p(s * count / total), with the s of the prediction. That is a few counts of one
    spot, and far more scattered than the prediction, which is the mean that such counts scatter about; ``radius`` evens them out.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.tl.impute` was run on it.
    genes
        One gene, or several.
    key
        Name of the prediction, the ``key_added`` of :func:`phg2st_sc.tl.impute`.
    columns
        What to draw, of ``"measured"``, ``"prompts"``, ``"predicted"`` and ``"std"``, in this order. ``None``: all that there
        is; ``"measured"`` where spots other than the prompts were measured.
    {slide:drawn}
    {image:under} {counts_layer:kept} {gex_only:kept} {slide_key} {table_key} {coordinate_system} {pitch:kept} {pitch_um}
    {radius}
        Column ``"measured"`` shows the counts of all measured spots within it together, 1.5 as :func:`phg2st_sc.tl.evaluate`
        scores them; 0 the counts of each spot alone.
    size
        Factor on the width of the spots.
    cmap, cmap_std
        Color maps of expression, and of the standard deviation.
    vmin, vmax
        Ends of the color scale of expression. ``None``: for each gene the percentiles 1 and 99 of all that is drawn of it.
    figsize
        Width and height of a new figure in inches.
    {ax:grid} {title} {show} {save}

    Returns
    -------
    Array of axes, (genes, columns).

    Raises
    ------
    KeyError
        If there is no such prediction, or no slide of that name.
    ValueError
        If a gene was not predicted, a column is not there, ``ax`` has another shape, or what was measured is no counts.

    Notes
    -----
    Reads ``layers[key]``, ``layers["<key>_std"]``, ``var["<key>_trust"]``, ``obs["<key>_prompt"]``, ``uns[key]``, ``obsm["spatial"]``, ``uns["spatial"]``
    and raw counts of all spots; writes nothing.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=80, n_genes=30, image=False, progress=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.2)
    >>> phg2st.tl.impute(adata, method="kriging", progress=False)
    >>> axes = phg2st.pl.prediction(adata, list(adata.var_names[:2]), key="kriging")
    >>> axes.shape, [ax.get_title() for ax in axes[0]]
    ((2, 3), ['measured', 'prompts', 'predicted'])
    """
    shown = Shown.find(data, key, Reading.among(locals()))
    asked = shown.check_genes(genes)
    tissue = Tissue.of(data, shown.reading, slide, image=image)
    values = _values(shown, tissue.slide, asked, _asked(columns), radius)
    figure, axes = _grid(ax, len(asked), list(values), tissue.aspect, figsize)
    for row, (gene, line) in enumerate(zip(asked, axes, strict=True)):
        limits = _limits([found[:, row] for name, (_, found) in values.items() if name != _STD], vmin, vmax)
        for name, axis in zip(values, line, strict=True):
            ends, colors = (limits, cmap) if name != _STD else (_limits([values[_STD][1][:, row]]), cmap_std)
            width = size * (_alone(tissue.slide, values[name][0]) if name == _PROMPTS else 1.0)
            _map(axis, tissue, *values[name], row, size=width, cmap=colors, limits=ends)
        _bars(figure, line, list(values))
        line[0].set_ylabel(shown.name_of(gene), fontstyle="italic")
    for name, axis in zip(values, axes[0], strict=True):
        axis.set_title(name, fontsize="medium")
    tissue.scale_bar(axes[-1, 0])
    _say_scale(axes[-1], list(values), f"log1p({shown.target_sum(tissue.slide):,.0f} · share)")
    if title is not None:
        figure.suptitle(title)
    finish(axes, save=save, show=show)
    return axes


def _asked(columns: str | Sequence[str] | None) -> list[str] | None:
    if columns is None:
        return None
    asked = [columns] if isinstance(columns, str) else list(columns)
    unknown = [name for name in asked if name not in COLUMNS]
    if unknown or not asked:
        msg = f"`columns` are of {', '.join(map(repr, COLUMNS))}, not {columns!r}."
        raise ValueError(msg)
    return asked


def _values(shown: Shown, slide: Slide, genes: Sequence[str], columns: Sequence[str] | None, radius: float) -> Values:
    """What there is to draw, in the order of the columns."""
    wanted, everywhere = columns or COLUMNS, np.ones(slide.n_spots, dtype=bool)
    found: dict[str, tuple[NDArray[np.bool_], NDArray[np.floating]]] = {}
    if _MEASURED in wanted or _PROMPTS in wanted:
        found |= _measured(shown, slide, genes, radius)
    found[_PREDICTED] = everywhere, shown.values(slide, genes)
    if _STD in wanted and shown.has_std:
        found[_STD] = everywhere, shown.values(slide, genes, std=True)
    if columns is None:
        return found
    missing = [name for name in columns if name not in found]
    if missing:
        raise ValueError(_not_there(missing[0], shown.key, slide.name))
    return {name: found[name] for name in columns}


def _measured(
    shown: Shown, slide: Slide, genes: Sequence[str], radius: float
) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Depth-free expression of the measured spots, and of the prompts among them."""
    prompts, there = shown.prompts(slide), shown.measured(slide)
    counts, totals = shown.reading.counts(slide.table, slide.rows[there], genes=genes, dense=True)
    scale, known, found = shown.target_sum(slide), prompts & there, {}
    if known.any():
        found[_PROMPTS] = known, _depth_free(counts[prompts[there]], totals[prompts[there]], scale)
    if (there & ~prompts).any():
        if radius:
            near = neighbor_operator(slide.pitch_positions()[there], radius=radius)
            counts, totals = near @ counts, near @ totals
        found = {_MEASURED: (there, _depth_free(counts, totals, scale)), **found}
    return found


def _depth_free(counts: NDArray[Any], totals: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    shares = np.full(counts.shape, np.nan)  # of a spot that has counts, but none of a gene
    np.divide(counts, totals[:, None], out=shares, where=totals[:, None] > 0)
    return np.log1p(scale * shares)


def _not_there(column: str, key: str, name: str) -> str:
    if column == _STD:
        return (
            f"{key!r} was predicted without a standard deviation: call `phg2st_sc.tl.impute(data, uncertainty=True)`, or leave "
            f"{column!r} out of `columns=`."
        )
    spots = "no spot but the prompts was measured" if column == _MEASURED else "no prompt has a count"
    return f"There is nothing to draw in column {column!r}: {spots} on slide {name!r}. Leave it out of `columns=`."


def _grid(
    ax: Any, n_genes: int, columns: Sequence[str], aspect: float, figsize: tuple[float, float] | None
) -> tuple[Figure, NDArray[Any]]:
    import matplotlib.pyplot as plt
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shape, n_bars = (n_genes, len(columns)), len({name == _STD for name in columns})
    if ax is None:
        size = figsize or (_MAP * shape[1] + _BAR * n_bars, _MAP * aspect * shape[0] + _TITLE)
        layout = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02, wspace=0.02, hspace=0.02)
        figure, axes = plt.subplots(*shape, figsize=size, squeeze=False, layout=layout)
        return figure, axes
    axes = np.atleast_1d(np.asarray(ax, dtype=object))
    if axes.size != shape[0] * shape[1]:
        msg = f"`ax` holds {axes.size} axes, and {shape[0]} genes in {shape[1]} columns take {shape[0] * shape[1]}."
        raise ValueError(msg)
    return axes.flat[0].get_figure(root=True), axes.reshape(shape)


def _limits(
    values: Sequence[NDArray[Any]], vmin: float | None = None, vmax: float | None = None
) -> tuple[float, float]:
    """Ends of one color scale for all that is compared."""
    finite = np.concatenate([np.empty(0), *(one[np.isfinite(one)] for one in values)])
    low, high = np.percentile(finite, _ENDS) if finite.size else (0.0, 1.0)
    wider = max(0.0, _LEAST * abs(high) - (high - low)) / 2
    low, high = low - wider, high + wider
    low, high = float(low if vmin is None else vmin), float(high if vmax is None else vmax)
    return (low, high) if high > low else (low, low + 1.0)


def _map(
    axis: Axes, tissue: Tissue, which: NDArray[np.bool_], values: NDArray[Any], gene: int, *, size: float, **style: Any
) -> None:
    tissue.draw(axis)
    if tissue.picture is None:
        tissue.spots(axis, ~which, facecolors=NOTHING)
    tissue.colored(axis, which, values[:, gene], size=size, **style)


def _alone(slide: Slide, which: NDArray[np.bool_]) -> float:
    """How much wider spots are drawn that stand alone."""
    from scipy.spatial import cKDTree

    places = slide.pitch_positions()[which]
    if len(places) < 2 or np.median(cKDTree(places).query(places, k=2)[0][:, 1]) > _NEAR:
        return _WIDER
    return 1.0


def _say_scale(line: NDArray[Any], names: Sequence[str], words: str) -> None:
    """Write below the last map of expression what its colors are, once: beside each color bar it is longer than a flat map is high."""
    compared = [axis for axis, name in zip(line, names, strict=True) if name != _STD]
    if compared:
        pad = 14.0 if compared[-1] is line[0] else 3.0  # where the scale bar is
        compared[-1].set_xlabel(words, fontsize="small", labelpad=pad, loc="right")


def _bars(figure: Figure, line: NDArray[Any], names: Sequence[str]) -> None:
    """One color bar for what shares a scale, and one of its own for the standard deviation."""
    for group in ([n for n in names if n != _STD], [n for n in names if n == _STD]):
        if group:
            axes = [line[names.index(name)] for name in group]
            bar = figure.colorbar(axes[-1].collections[-1], ax=axes, aspect=14, shrink=0.85, pad=0.02)
            bar.outline.set_visible(False)
            bar.ax.tick_params(labelsize="small", length=2)
            bar.ax.locator_params(nbins=4)
