"""A hypergraph that the user brings along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ._base import Array, HypergraphBuilder, check_positions
from ._hypergraph import Hypergraph, node_expansion


@dataclass(frozen=True, eq=False)
class Given(HypergraphBuilder):
    """Take an incidence matrix, or the adjacency matrix of a plain graph.

    Parameters
    ----------
    incidence
        (n, m) weights of n spots in m <= n hyperedges, dense or sparse, not negative. Missing columns stay empty.
    adjacency
        (n, n) weights of a graph, not negative, such as ``adata.obsp["spatial_connectivities"]``: every spot opens a
        hyperedge of its neighbours with these weights and of itself with weight 1.

    Raises
    ------
    ValueError
        Unless exactly one of the two is given, of a fitting shape, finite and not negative.

    Examples
    --------
    >>> import numpy as np
    >>> from phg2st_sc.graph import Given
    >>> path = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    >>> positions = np.array([[0.0, 0], [1, 0], [2, 0]])
    >>> Given(adjacency=path).build(positions).incidence.toarray().astype(int)
    array([[1, 1, 0],
           [1, 1, 1],
           [0, 1, 1]])
    """

    name: ClassVar[str] = "given"
    metric: ClassVar[str] = "position distance in pitches"
    incidence: Any = None
    adjacency: Any = None

    def __post_init__(self) -> None:
        if (self.incidence is None) == (self.adjacency is None):
            raise ValueError("Give either `incidence=` or `adjacency=`.")

    def describe(self) -> dict[str, Any]:
        """Name, and which kind of matrix was given; the matrix itself is in ``obsp``."""
        kind = "incidence" if self.adjacency is None else "adjacency"
        return {"builder": self.name, "method": self.name, "metric": self.metric, "given": kind}

    def build(self, positions: Array, features: Array | None = None) -> Hypergraph:
        """Lay the given matrix over the spots; positions only give the distances of spots that share a hyperedge."""
        where = check_positions(positions)
        return self.lay(where)

    def lay(self, where: Array) -> Hypergraph:
        """Like :meth:`build`, for positions that may be NaN where a table has rows of no slide."""
        n_spots = len(where)
        incidence = _weights(self.incidence, n_spots) if self.adjacency is None else self._from_adjacency(n_spots)
        pairs = node_expansion(incidence).tocoo()
        lengths = np.linalg.norm(where[pairs.row] - where[pairs.col], axis=1).astype(np.float32)
        distances = sparse.csr_matrix((lengths, (pairs.row, pairs.col)), shape=(n_spots, n_spots))
        return Hypergraph(incidence, distances, self.describe())

    def _from_adjacency(self, n_spots: int) -> sparse.csr_matrix:
        graph = _weights(self.adjacency, n_spots)
        if np.shape(self.adjacency) != (n_spots, n_spots):
            msg = f"`adjacency` has shape {np.shape(self.adjacency)}; {n_spots} spots need ({n_spots}, {n_spots})."
            raise ValueError(msg)
        others = sparse.coo_matrix(graph)
        off = others.row != others.col
        plain = sparse.csr_matrix((others.data[off], (others.col[off], others.row[off])), shape=graph.shape)
        return sparse.csr_matrix(plain + sparse.identity(n_spots, dtype=np.float32))


def _weights(matrix: Any, n_spots: int) -> sparse.csr_matrix:
    """Check a matrix of weights, and widen it with empty columns to n x n."""
    out = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    out.sum_duplicates()
    out.eliminate_zeros()
    if out.shape[0] != n_spots or out.shape[1] > n_spots:
        msg = f"The given matrix has shape {out.shape}; it needs {n_spots} rows, one per spot, and no more columns."
        raise ValueError(msg)
    if not np.isfinite(out.data).all() or (out.data < 0).any():
        raise ValueError("The given matrix holds weights that are negative, NaN or infinite.")
    out.resize((n_spots, n_spots))
    return out
