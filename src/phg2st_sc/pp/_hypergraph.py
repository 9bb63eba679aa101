"""Build hypergraphs of spots and store them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._deprecated import renamed_parameters
from .._docs import documented
from .._reading import Reading, choose_rep, features_of, hypergraph_update
from .._slide import check_finite_centers, embedding_records, warn_off_lattice, write_slots
from .._text import quoted
from .._threads import limited_threads
from .._warn import one_message_per_fault, warn_of_each
from ..graph import Given, Hypergraph, HypergraphBuilder, get_builder, scatter_blocks

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from .._slide import Slide

logger = logging.getLogger("phg2st_sc")
_POSITION_ADVICE = "or build from positions alone with `builder='position'`"


@dataclass(frozen=True, eq=False)
class _Built:
    """The hypergraph of one slide."""

    slide: Slide
    hypergraph: Hypergraph


@renamed_parameters(table="table_key")
@one_message_per_fault
@limited_threads()
@documented
def build_hypergraph(
    data: AnnData | SpatialData,
    *,
    use_rep: str | None = None,
    n_neighbors: int | None = None,
    builder: str | HypergraphBuilder = "combined",
    radius: float | None = None,
    key_added: str = _keys.HYPERGRAPH,
    slide_key: str | None = None,
    trust_rep: bool = False,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    write: bool = False,
) -> None:
    """Connect every spot with those that are near and look alike.

    Each spot opens one hyperedge with its nearest spots and itself. Slides are built one by one and never connected.

    Parameters
    ----------
    {data} {use_rep}
    n_neighbors
        Spots in a hyperedge beside its own; 4 by default. On a slide with fewer spots it is all of them, with a warning.
    builder
        ``"combined"``: nearest under the sum of the distances in space and between features, each divided by its root mean
        square (the paper's). ``"position"``, ``"feature"``: under one of them. ``"radius"``: all spots within ``radius``.
        Or a builder of :mod:`phg2st_sc.graph`, such as ``Given(incidence=...)`` over all rows of the table.
    {radius}
        For ``builder="radius"``.
    key_added
        What to store it as.
    {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um} {trust_rep}
        The same for a given matrix.
    {write}

    Returns
    -------
    Nothing. Writes, with the default ``key_added``, ``obsp["hypergraph_incidence"]`` (column e = the hyperedge centred on
    spot e, values = weights exp(-distance / median distance), 1 for the spot itself), ``obsp["hypergraph_connectivities"]``
    (the plain graph H D_e^-1 H^T), ``obsp["hypergraph_distances"]`` (row e = distances from spot e), all CSR float32, and
    ``uns["hypergraph"]`` in the shape of scanpy's neighbours, with ``params["search"]`` and ``params["recall"]`` by slide: ``sq.gr.nhood_enrichment(adata, ...,
    connectivity_key="hypergraph")`` and ``sc.tl.leiden(adata, neighbors_key="hypergraph")`` take it.

    Raises
    ------
    KeyError
        If there are no embeddings and the builder needs them, or no spot coordinates.
    ValueError
        If embeddings are not known to come from the image, a setting does not fit the builder, a given matrix does not fit
        the table, a slot of that name is there and was not written by this function, or ``data`` is a view.

    Notes
    -----
    Reads ``obsm["spatial"]`` and the embeddings; expression is never read.

    Up to 20,000 spots of a slide all pairs are compared. On larger ones positions are searched by a tree, which misses nothing,
    and whatever compares features by an index (PyNNDescent, on one thread, compiled for about 30 seconds at its first use),
    whose candidates are ranked by the distances themselves. Which it was is in ``params["search"]``; ``params["recall"]`` is
    the share of the nearest spots that was found, measured on 1,000 spots compared with all. A warning tells if it is below .99.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, progress=False)
    >>> phg2st.pp.build_hypergraph(adata, builder="position")
    >>> int((adata.obsp["hypergraph_incidence"][:, 7] > 0).sum())
    5
    """
    maker = get_builder(builder, n_neighbors=n_neighbors, radius=radius)
    reading = Reading.among(locals())
    slides = reading.open(data)
    warn_off_lattice(slides)
    by_table: dict[int, list[Slide]] = {}
    for slide in slides:
        check_finite_centers(slide)
        by_table.setdefault(id(slide.table), []).append(slide)
    updates = []
    for group in by_table.values():
        target = group[0].table
        whole = _on_table(target, group, maker, use_rep, trust_rep=trust_rep)
        updates.append((target, hypergraph_update(target, whole, key_added)))
    for target, update in updates:
        write_slots(data, target, update, write=write)


def _on_table(
    table: AnnData, slides: Sequence[Slide], maker: HypergraphBuilder, use_rep: str | None, *, trust_rep: bool
) -> Hypergraph:
    """Build the hypergraph over all rows of a table, block-diagonal by slide."""
    if isinstance(maker, Given):
        return _lay_given(table, slides, maker, use_rep, trust_rep=trust_rep)
    rep = _choose(table, maker, use_rep, trust_rep=trust_rep)
    built = [_Built(slide, _build(slide, maker, rep)) for slide in slides]
    incidence, distances = (
        scatter_blocks([(one.slide.rows, getattr(one.hypergraph, name)) for one in built], table.n_obs)
        for name in ("incidence", "distances")
    )
    return Hypergraph(incidence, distances, _params(table, built, maker, rep))


def _choose(table: AnnData, maker: HypergraphBuilder, use_rep: str | None, *, trust_rep: bool) -> str | None:
    if not maker.uses_features:
        _refuse_rep(maker, use_rep)
        return None
    rep = choose_rep(table, use_rep, trust_rep=trust_rep)
    if rep is None:
        msg = (
            f"builder={maker.name!r} compares image features, and there are no embeddings: compute them with "
            f"`phg2st_sc.pp.extract_embeddings(data)`, {_POSITION_ADVICE}."
        )
        raise KeyError(msg)
    return rep


def _refuse_rep(maker: HypergraphBuilder, use_rep: str | None) -> None:
    if use_rep is not None:
        msg = f"builder={maker.name!r} uses no features: leave out `use_rep={use_rep!r}`."
        raise ValueError(msg)


def _build(slide: Slide, maker: HypergraphBuilder, rep: str | None) -> Hypergraph:
    _warn_of_few(slide, maker)
    features, _ = features_of(slide, rep)
    if rep is not None and features is None:
        msg = f"Slide {slide.name!r} has no features in obsm[{rep!r}]"
        if maker.needs_features:
            msg = f"{msg}, which builder={maker.name!r} needs: embed the slide, {_POSITION_ADVICE}."
            raise ValueError(msg)
        warn_of_each(
            f"{msg}: its hyperedges come from positions alone.",
            each=repr(slide.name),
            several=f"Slides {{which}} have no features in obsm[{rep!r}]: their hyperedges come from positions alone.",
        )
    return maker.build(_pitches(slide), features)


def _warn_of_few(slide: Slide, maker: HypergraphBuilder) -> None:
    wanted = getattr(maker, "n_neighbors", 0)
    if wanted >= slide.n_spots:
        warn_of_each(
            f"Slide {slide.name!r} has {slide.n_spots} spots, so that n_neighbors={wanted} connects every spot with the "
            f"{slide.n_spots - 1} others.",
            each=f"{slide.name!r} ({slide.n_spots})",
            several=f"n_neighbors={wanted} connects every spot of slides {{which}} with all others: they have as many spots, or fewer.",
        )


def _pitches(slide: Slide) -> NDArray[np.float64]:
    """Positions in pitches; as they are where there is no second spot to tell the pitch."""
    return slide.pitch_positions() if np.isfinite(slide.pitch_px) else slide.positions


def _params(table: AnnData, built: Sequence[_Built], maker: HypergraphBuilder, rep: str | None) -> dict[str, Any]:
    params = {
        **maker.describe(),
        "slides": np.array([one.slide.name for one in built]),
        "search": np.array([str(one.hypergraph.params.get("search", "all pairs")) for one in built]),
        "recall": np.array([float(one.hypergraph.params.get("recall", 1.0)) for one in built]),
        "source": "positions",
    }
    if rep is not None:
        record = embedding_records(table).get(rep, {})
        params.update(use_rep=rep, source=str(record.get("source", "unknown")))
    return params


def _lay_given(
    table: AnnData, slides: Sequence[Slide], maker: Given, use_rep: str | None, *, trust_rep: bool
) -> Hypergraph:
    _refuse_rep(maker, use_rep)
    if not trust_rep:
        msg = (
            "A given hypergraph may have been built from expression, which would leak the spots to be predicted. Pass "
            "`trust_rep=True` if it was not."
        )
        raise ValueError(msg)
    where = np.full((table.n_obs, 2), np.nan)
    code = np.full(table.n_obs, -1)
    for number, slide in enumerate(slides):
        where[slide.rows], code[slide.rows] = _pitches(slide), number
    whole = maker.lay(where)
    _check_within_slides(table, whole, code)
    names = np.array([slide.name for slide in slides])
    return Hypergraph(whole.incidence, whole.distances, {**whole.params, "slides": names, "source": "given"})


def _check_within_slides(table: AnnData, whole: Hypergraph, code: NDArray[np.int64]) -> None:
    pairs = whole.distances.tocoo()
    crossing = code[pairs.row] != code[pairs.col]
    if crossing.any():
        spots = table.obs_names[np.unique(pairs.row[crossing])]
        msg = f"The given hypergraph connects spots of different slides, such as {quoted(spots)}."
        raise ValueError(msg)
