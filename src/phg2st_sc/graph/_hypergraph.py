"""What a builder returns: which spots each hyperedge holds, and how strongly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse


@dataclass(frozen=True, eq=False)
class Hypergraph:
    """A hypergraph of n spots with one hyperedge centred on each.

    Attributes
    ----------
    incidence
        (n, n) CSR float32. Column e is the hyperedge centred on spot e; a value is the weight of a member, its centre
        has weight 1.
    distances
        (n, n) CSR float32. Row e holds the distances of the members from the centre of hyperedge e, itself left out.
    params
        How it was built, in values that ``uns`` can hold.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.graph import PositionKNN
    >>> hypergraph = PositionKNN(n_neighbors=1).build(np.array([[0.0, 0], [1, 0], [9, 0]]))
    >>> hypergraph.n_spots, hypergraph.params["builder"], hypergraph.distances[2].max().item()
    (3, 'position', 8.0)
    """

    incidence: sparse.csr_matrix
    distances: sparse.csr_matrix
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self.incidence.shape[0])

    @property
    def connectivities(self) -> sparse.csr_matrix:
        """(n, n) CSR float32, symmetric, zero diagonal: H D_e^-1 H^T, how much two spots share hyperedges."""
        return node_expansion(self.incidence)


def node_expansion(incidence: sparse.spmatrix) -> sparse.csr_matrix:
    """Return H D_e^-1 H^T without its diagonal: the plain graph of spots that stands for a hypergraph."""
    weights = sparse.csr_matrix(incidence, dtype=np.float64)
    sizes = np.asarray(weights.sum(axis=0)).ravel()
    inverse = np.divide(1.0, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    shared = sparse.coo_matrix(weights @ sparse.diags(inverse) @ weights.T)
    between = shared.row != shared.col
    entries = (shared.data[between].astype(np.float32), (shared.row[between], shared.col[between]))
    graph = sparse.csr_matrix(entries, shape=shared.shape)
    graph.sort_indices()
    return graph


def from_members(
    centers: NDArray[np.int64], members: NDArray[np.int64], distances: NDArray[np.float64], n_spots: int
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Assemble incidence and distances from (centre, member, distance) triples that leave the centre itself out.

    The weight of a member is exp(-distance / median distance over all triples), that of the centre 1.
    """
    weights = np.concatenate([edge_weights(distances), np.ones(n_spots)]).astype(np.float32)
    selves = np.arange(n_spots)
    spots, edges = np.concatenate([members, selves]), np.concatenate([centers, selves])
    incidence = sparse.csr_matrix((weights, (spots, edges)), shape=(n_spots, n_spots))
    lengths = sparse.csr_matrix((distances.astype(np.float32), (centers, members)), shape=(n_spots, n_spots))
    for matrix in (incidence, lengths):
        matrix.sort_indices()
    return incidence, lengths


def edge_weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return exp(-distance / median distance): near is strong, and 1 where all distances are 0."""
    scale = float(np.median(distances)) if distances.size else 0.0
    if scale > 0:
        return np.exp(-distances / scale)
    return np.where(distances > 0, 0.0, 1.0)


def scatter_blocks(blocks: Sequence[tuple[NDArray[np.int64], sparse.csr_matrix]], n_obs: int) -> sparse.csr_matrix:
    """Place square matrices, each over some rows of a table, into one (n_obs, n_obs) CSR matrix."""
    parts = [(rows, sparse.coo_matrix(block)) for rows, block in blocks]
    values = np.concatenate([block.data for _, block in parts])
    at = (
        np.concatenate([rows[block.row] for rows, block in parts]),
        np.concatenate([rows[block.col] for rows, block in parts]),
    )
    out = sparse.csr_matrix((values, at), shape=(n_obs, n_obs))
    out.sort_indices()
    return out
