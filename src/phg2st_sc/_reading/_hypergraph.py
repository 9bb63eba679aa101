"""Hypergraphs in the slots of a table: written beside what scanpy and squidpy write, read only where they still fit."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._provenance import names_hash, package_versions
from .._slide import Owner, SlotUpdate, spot_pairs
from ..graph import Hypergraph

if TYPE_CHECKING:
    from anndata import AnnData

logger = logging.getLogger("phg2st_sc")


def hypergraph_update(table: AnnData, hypergraph: Hypergraph, key: str) -> SlotUpdate:
    """What to write on a table for a hypergraph over all of its rows."""
    record = {
        _keys.INCIDENCE_KEY: _keys.incidence(key),
        _keys.CONNECTIVITIES_KEY: _keys.connectivities(key),
        _keys.DISTANCES_KEY: _keys.distances(key),
        _keys.PARAMS: dict(hypergraph.params),
        _keys.NAMES_HASH: names_hash(table.obs_names),
        "versions": package_versions(("phg2st-sc", "numpy", "scipy")),
    }
    matrices = {
        _keys.incidence(key): hypergraph.incidence,
        _keys.connectivities(key): hypergraph.connectivities,
        _keys.distances(key): hypergraph.distances,
    }
    owner = Owner((key,), (_keys.INCIDENCE_KEY,))
    return SlotUpdate(obsp=matrices, uns={key: record}, owner=owner)


def stored_hypergraph(
    table: AnnData, rows: NDArray[np.int64] | None = None, key: str = _keys.HYPERGRAPH
) -> Hypergraph | None:
    """Return the hypergraph that :func:`phg2st_sc.pp.build_hypergraph` stored, if it still fits the table.

    Slicing, reordering and concatenation leave matrices behind that lack spots, so the names of the spots it was built on
    are recorded, and compared here.

    Parameters
    ----------
    table
        Table annotating the spots.
    rows
        Rows of one slide; ``None`` for all.
    key
        What it was stored as.

    Returns
    -------
    The hypergraph over ``rows``, or ``None`` where there is none or it does not fit; the log says so.
    """
    record = table.uns.get(key)
    if not isinstance(record, Mapping) or not {_keys.INCIDENCE_KEY, _keys.DISTANCES_KEY} <= set(record):
        return None
    names = [str(record[_keys.INCIDENCE_KEY]), str(record[_keys.DISTANCES_KEY])]
    missing = [name for name in names if name not in table.obsp]
    if missing or str(record.get(_keys.NAMES_HASH)) != names_hash(table.obs_names):
        logger.info("uns[%r]: the hypergraph was built on other spots, or in another order; it is built anew", key)
        return None
    incidence, distances = (spot_pairs(table, name, rows) for name in names)
    return Hypergraph(incidence, distances, _plain(record.get(_keys.PARAMS, {})))


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in params.items()}
