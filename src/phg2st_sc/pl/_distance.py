"""How good a prediction is near the prompts, and how good far from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._docs import documented
from .._reading import Reading
from .._warn import one_message_per_fault
from ..metrics import ceiling_of, depth_free_target, mae, pcc, predicted_share, share_target
from ._choose import choose
from ._stored import Shown
from ._style import BLUE, GRAY, finish, legend_above, new_axes, open_frame

if TYPE_CHECKING:
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData

    from .._slide import Slide

_EDGES = (0.0, 1.25, 2.25, 3.25, 5.25, 8.25, 13.25, np.inf)
"""Bins of the distance in lattice pitches: the nearest, the next, ..., and wider ones where the prediction changes little."""
_FEWEST = 15
"""Spots below which a correlation over the spots of a bin says nothing."""
_QUARTILES = (25, 75)

Array = NDArray[np.float64]


@one_message_per_fault
@documented
def distance(
    data: AnnData | SpatialData,
    *,
    key: str = "phg2st",
    score: Literal["pcc", "mae"] = "pcc",
    genes: Sequence[str] | None = None,
    edges: Sequence[float] = _EDGES,
    n_splits: int = 2,
    seed: int = 0,
    slide: str | None = None,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the score at held-out spots against their distance to the nearest prompt.

    Held-out spots are sorted into bins of their distance, each scored by itself: the mean over genes, and as a band the middle
    half of the genes; n is the number of spots. Scores are those of :func:`phg2st_sc.tl.evaluate`; a correlation over
    the few spots of a bin is lower than one over the whole section, and so is the noise ceiling there.

    Parameters
    ----------
    {data}
        :func:`phg2st_sc.tl.impute` was run on it, and it has raw counts of spots that were held out then.
    key
        Name of the prediction, the ``key_added`` of :func:`phg2st_sc.tl.impute`.
    score
        ``"pcc"``, the correlation with the depth-free target, or ``"mae"``, the error in log1p(1e4 * share).
    genes
        Genes to average over; by default all that were predicted.
    edges
        Edges of the bins in lattice pitches. Bins of fewer than 15 spots are left out.
    {n_splits}
        0 leaves it out.
    {seed}
    {slide:drawn}
    {counts_layer:kept} {gex_only:kept} {slide_key} {table_key} {coordinate_system} {pitch:kept} {pitch_um} {ax} {title} {show}
    {save}

    Returns
    -------
    Axes.

    Raises
    ------
    KeyError
        If there is no such prediction, or no slide of that name.
    ValueError
        If nothing that was held out was measured, there are too few spots in every bin, no prompts, or a gene was not predicted.

    Notes
    -----
    Reads ``layers[key]``, ``obs["<key>_prompt"]``, ``uns[key]``, ``obsm["spatial"]`` and raw counts of spots that were held out;
    writes nothing.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=30, image=False, progress=False)
    >>> phg2st.pp.sample_prompts(adata, fraction=0.1)
    >>> phg2st.tl.impute(adata, method="kriging", progress=False)
    >>> phg2st.pl.distance(adata, key="kriging").get_ylabel()
    'pcc'
    """
    if score not in ("pcc", "mae"):
        raise ValueError(f"`score` is 'pcc' or 'mae', not {score!r}.")
    shown = Shown.find(data, key, Reading.among(locals()))
    chosen = choose(shown.reading.slides(data), slide)
    asked = None if genes is None else shown.check_genes(genes)
    held = _HeldOut.of(shown, chosen, asked)
    bins = list(held.bins(edges))
    if not bins:
        msg = f"Every bin of the distance holds fewer than {_FEWEST} held-out spots of slide {chosen.name!r}: pass wider `edges=`."
        raise ValueError(msg)
    axis = new_axes(ax)
    _draw(axis, held, bins, score)
    if score == "pcc" and n_splits:
        ceilings = held.ceilings(bins, n_splits, seed)
        axis.plot(
            [held.far[one].mean() for one in bins], ceilings, "--", color=GRAY, linewidth=1.2, label="noise ceiling"
        )
    legend_above(axis, title)
    open_frame(axis)
    finish(axis, save=save, show=show)
    return axis


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """Spots that were measured and held out, the deepest panel of counts that they have, and what was predicted there."""

    far: Array
    positions: Array
    counts: Any
    depths: Array
    predicted: NDArray[np.floating]
    target_sum: float

    @classmethod
    def of(cls, shown: Shown, slide: Slide, genes: Sequence[str] | None) -> _HeldOut:
        from scipy.spatial import cKDTree

        prompts, panel, places = shown.prompts(slide), shown.panel(slide), slide.pitch_positions()
        if not prompts.any():
            raise ValueError(
                f"layers[{shown.key!r}] was predicted without prompts on slide {slide.name!r}: there is no distance."
            )
        held = np.flatnonzero(shown.measured(slide) & ~prompts)
        counts, _ = shown.reading.counts(slide.table, slide.rows[held], genes=panel)
        depths = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
        held, counts, depths = held[depths > 0], counts[depths > 0], depths[depths > 0]
        if not held.size:
            msg = f"No spot that was held out has a count on slide {slide.name!r}: there is no truth to score against."
            raise ValueError(msg)
        asked = panel if genes is None else [gene for gene in panel if gene in set(genes)]
        columns = [panel.index(gene) for gene in asked]
        far = cKDTree(places[prompts]).query(places[held])[0]
        predicted = shown.values(slide, asked)[held]
        return cls(far, places[held], counts[:, columns], depths, predicted, shown.target_sum(slide))

    def bins(self, edges: Sequence[float]) -> Iterator[NDArray[np.int64]]:
        """Spots of every bin that has enough of them."""
        for low, high in pairwise(edges):
            here = np.flatnonzero((self.far > low) & (self.far <= high))
            if here.size >= _FEWEST:
                yield here

    def scores(self, bins: Sequence[NDArray[np.int64]], score: str) -> list[Array]:
        """Score of every gene, by bin."""
        if score == "pcc":
            truth = depth_free_target(self.counts, self.positions, depths=self.depths)
            return [pcc(truth[one], self.predicted[one]) for one in bins]
        truth = share_target(self.counts, self.depths, self.positions)
        predicted = predicted_share(self.predicted, self.target_sum)
        return [mae(truth[one], predicted[one]) for one in bins]

    def ceilings(self, bins: Sequence[NDArray[np.int64]], n_splits: int, seed: int) -> list[float]:
        """Noise ceiling of every bin: what the targets of two halves of the counts agree on there."""
        rng, found = np.random.default_rng(seed), []
        counts = self.counts.toarray() if hasattr(self.counts, "toarray") else self.counts
        counts = counts.astype(np.int64)
        for _ in range(n_splits):
            first = rng.binomial(counts, 0.5)
            a, b = (depth_free_target(half, self.positions) for half in (first, counts - first))
            found.append([float(np.nanmean(pcc(a[one], b[one]))) for one in bins])
        return [float(value) for value in ceiling_of(np.mean(found, axis=0))]


def _draw(axis: Axes, held: _HeldOut, bins: Sequence[NDArray[np.int64]], score: str) -> None:
    values = held.scores(bins, score)
    where, means = [float(held.far[one].mean()) for one in bins], [float(np.nanmean(one)) for one in values]
    low, high = np.transpose([np.nanpercentile(one, _QUARTILES) for one in values])
    axis.fill_between(where, low, high, color=BLUE, alpha=0.18, linewidth=0, label="middle half of genes")
    axis.plot(where, means, "o-", color=BLUE, markersize=4, linewidth=1.4, label="mean over genes")
    for number, (x, one) in enumerate(zip(where, bins, strict=True)):
        axis.annotate(
            f"{'' if number else 'n='}{one.size:,}", (x, 0), (0, 3), xycoords=axis.get_xaxis_transform(), textcoords="offset points", ha="center",
            fontsize="x-small", color=GRAY,
        )  # fmt: skip
    axis.set(xlabel="distance to the nearest prompt (lattice pitches)", ylabel=score)
    axis.margins(x=0.08, y=0.12)
