"""Hypergraph convolution X' = D_v^-1 H D_e^-1 H^T (X Theta) with a weighted incidence H."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse

from .._docs import documented
from ._conv_engine import resolve_engine
from ._conv_steps import STEPS, in_full_precision
from ._hypergraph import Hypergraph


@documented
class HypergraphOperator:
    """The averaging of a hypergraph, prepared once on a device: spots to hyperedges, and back.

    A hyperedge takes the weighted mean of its spots, a spot the weighted mean of its hyperedges. The weights of the
    incidence act on the messages and on both degrees. A spot of no hyperedge gets 0, an empty hyperedge sends nothing.

    Parameters
    ----------
    incidence
        A :class:`Hypergraph`, or (n, m) weights of n spots in m hyperedges, sparse or dense, finite and not negative.
    {engine} {device:features}

    Attributes
    ----------
    engine
        The engine in use, ``"dgl"`` or ``"torch"``.
    n_spots, n_edges
        Shape of the incidence.
    device
        Where it is prepared.

    Raises
    ------
    ValueError
        If a weight is negative, NaN or infinite, or the engine is unknown.
    RuntimeError
        If ``engine="dgl"`` and DGL does not work here.

    References
    ----------
    Bai, Zhang, Torr, Hypergraph convolution and hypergraph attention, Pattern Recognition 2021.

    Examples
    --------
    >>> import torch
    >>> operator = HypergraphOperator([[1.0, 0.0], [1.0, 1.0]], engine="torch")  # hyperedges {0, 1} and {1}
    >>> operator.apply(torch.tensor([[0.0], [4.0]])).tolist()
    [[2.0], [3.0]]
    """

    def __init__(self, incidence: Any, *, engine: str = "auto", device: torch.device | str = "cpu") -> None:
        self.incidence = _checked(incidence.incidence if isinstance(incidence, Hypergraph) else incidence)
        self.device = torch.device(device)
        self._wanted = engine
        self.engine = resolve_engine(engine, self.device)
        self.n_spots, self.n_edges = self.incidence.shape
        step = STEPS[self.engine]
        into_edges, into_spots = averages(self.incidence)
        self._gather, self._scatter = step(into_edges, self.device), step(into_spots, self.device)

    def apply(self, x: torch.Tensor) -> torch.Tensor:
        """Average features over the hypergraph.

        Parameters
        ----------
        x
            (n_spots, d) on the operator's device. Half precision is summed in single precision.

        Returns
        -------
        (n_spots, d), of the same dtype; differentiable in ``x``.

        Raises
        ------
        ValueError
            If ``x`` has another shape.
        """
        if x.ndim != 2 or x.shape[0] != self.n_spots or not x.shape[1]:
            msg = (
                f"Features have shape {tuple(x.shape)}; this operator takes ({self.n_spots}, d), with d of at least 1."
            )
            raise ValueError(msg)
        return in_full_precision(self._scatter, in_full_precision(self._gather, x))

    __call__ = apply

    def to(self, device: torch.device | str) -> HypergraphOperator:
        """Return the operator on a device: itself if it is there, else a new one with the engine asked for at first."""
        if torch.device(device) == self.device:
            return self
        return HypergraphOperator(self.incidence, engine=self._wanted, device=device)

    def __repr__(self) -> str:
        return f"HypergraphOperator({self.n_spots} spots, {self.n_edges} hyperedges, {self.engine}, {self.device})"


def hypergraph_conv(x: torch.Tensor, theta: torch.Tensor, operator: HypergraphOperator) -> torch.Tensor:
    """Convolve: D_v^-1 H D_e^-1 H^T X Theta, the products in the cheaper order.

    Parameters
    ----------
    x
        (n_spots, d_in).
    theta
        (d_in, d_out).
    operator
        The prepared hypergraph.

    Raises
    ------
    ValueError
        If ``x`` has another number of spots than the operator.

    Examples
    --------
    >>> import torch
    >>> from phg2st_sc.graph import HypergraphOperator, hypergraph_conv
    >>> operator = HypergraphOperator([[1.0, 0.0], [1.0, 1.0]], engine="torch")
    >>> hypergraph_conv(torch.tensor([[0.0], [4.0]]), torch.tensor([[2.0, 1.0]]), operator).tolist()
    [[4.0, 2.0], [6.0, 3.0]]
    """
    if theta.shape[1] < theta.shape[0]:
        return operator.apply(x @ theta)
    return operator.apply(x) @ theta


def averages(incidence: sparse.csr_matrix) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return D_e^-1 H^T and D_v^-1 H; the inverse of a zero degree is 0."""
    edge_degree = _inverse(np.asarray(incidence.sum(axis=0)).ravel())
    spot_degree = _inverse(np.asarray(incidence.sum(axis=1)).ravel())
    into_edges = sparse.csr_matrix(sparse.diags(edge_degree) @ incidence.T)
    into_spots = sparse.csr_matrix(sparse.diags(spot_degree) @ incidence)
    return into_edges, into_spots


def _inverse(degree: np.ndarray) -> np.ndarray:
    return np.divide(1.0, degree, out=np.zeros_like(degree), where=degree > 0)


def _checked(incidence: Any) -> sparse.csr_matrix:
    matrix = sparse.csr_matrix(incidence, dtype=np.float64, copy=True)
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    if not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise ValueError("The incidence holds weights that are negative, NaN or infinite.")
    return matrix
