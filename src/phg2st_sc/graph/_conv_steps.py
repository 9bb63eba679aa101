"""One weighted sum of messages, sparse matrix times dense, by torch or by DGL; differentiable in the messages."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from scipy import sparse
from torch.nn.functional import embedding_bag

from ._conv_engine import load_dgl, make_graph

_EXACT = (torch.float32, torch.float64)
_SLICE = 64
"""Features that DGL sums at a time on the CPU."""
_REPEATED = 1 << 26
"""Weights, 256 MB in single precision, that are held for it: of very many entries, fewer features are summed at a time."""


class _Rows:
    """Rows of a sparse matrix on a device, as bags of weighted columns."""

    def __init__(self, matrix: sparse.csr_matrix, device: torch.device) -> None:
        self.offsets = torch.as_tensor(matrix.indptr.astype(np.int64), device=device)
        self.columns = torch.as_tensor(matrix.indices.astype(np.int64), device=device)
        self.weights = _on(matrix.data, device)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the matrix times ``values``."""
        if not self.columns.numel():
            return values.new_zeros(len(self.offsets) - 1, values.shape[1])
        return embedding_bag(
            self.columns,
            values.contiguous(),
            self.offsets,
            mode="sum",
            per_sample_weights=self.weights.to(values.dtype),
            include_last_offset=True,
        )


class _BagSum(torch.autograd.Function):
    """Bags both ways: the gradient is a sum over bags of the transposed matrix, without atomic additions."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, rows: _Rows, columns: _Rows) -> torch.Tensor:
        ctx.swapped = (columns, rows)
        return rows.sum(values)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return cast("torch.Tensor", _BagSum.apply(grads[0], *ctx.swapped)), None, None


class TorchStep:
    """Sparse (rows, columns) times dense (columns, d), by torch alone."""

    def __init__(self, matrix: sparse.csr_matrix, device: torch.device) -> None:
        self._rows = _Rows(matrix, device)
        self._columns = _Rows(sparse.csr_matrix(matrix.T), device)

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return the matrix times ``values``."""
        return cast("torch.Tensor", _BagSum.apply(values, self._rows, self._columns))


class DglStep:
    """Sparse (rows, columns) times dense (columns, d), as message passing from columns to rows by DGL.

    The graph is made when first needed, and left out of copies and pickles: only tensors travel.
    """

    def __init__(self, matrix: sparse.csr_matrix, device: torch.device) -> None:
        entries = sparse.coo_matrix(matrix)
        self._shape = matrix.shape
        self._source = torch.as_tensor(entries.col.astype(np.int32), device=device)
        self._target = torch.as_tensor(entries.row.astype(np.int32), device=device)
        self._weights = _on(entries.data[:, None], device)
        self._graph: Any = None
        self._wide: torch.Tensor | None = None
        self._slice = max(1, min(_SLICE, _REPEATED // max(matrix.nnz, 1)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_graph": None, "_wide": None}

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Return the matrix times ``values``."""
        if self._graph is None:
            n_to, n_from = self._shape
            self._graph = make_graph(load_dgl(), self._source, self._target, n_from=n_from, n_to=n_to)
        if values.device.type != "cpu":
            return self._sum(values, self._weights.to(values.dtype))
        weights = self._repeated(values.dtype)
        parts = [self._sum(part, weights[:, : part.shape[1]]) for part in values.split(self._slice, dim=1)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _sum(self, values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return load_dgl().ops.u_mul_e_sum(self._graph, values.contiguous(), weights.contiguous())

    def _repeated(self, dtype: torch.dtype) -> torch.Tensor:
        """Weights once per feature of a slice: on the CPU, DGL is four times slower where it has to repeat them."""
        if self._wide is None or self._wide.dtype != dtype:
            self._wide = self._weights.to(dtype).expand(-1, self._slice).contiguous()
        return self._wide


STEPS: dict[str, type[TorchStep] | type[DglStep]] = {"torch": TorchStep, "dgl": DglStep}


def in_full_precision(step: TorchStep | DglStep, values: torch.Tensor) -> torch.Tensor:
    """Apply a step in float32 or float64, whatever autocast says, and return the dtype that came in."""
    exact = values if values.dtype in _EXACT else values.float()
    with torch.autocast(device_type=values.device.type, enabled=False):
        return step(exact).to(values.dtype)


def _on(values: np.ndarray, device: torch.device) -> torch.Tensor:
    dtype = torch.float32 if device.type == "mps" else torch.float64
    return torch.as_tensor(values, dtype=dtype, device=device)
