"""DGL's sums take fewer features at a time where weights are many, and say the same."""

from __future__ import annotations

import pytest
import torch
from scipy import sparse

from phg2st_sc.graph import _conv_steps

pytest.importorskip("dgl")


def test_few_features_at_a_time_are_the_same_sums(monkeypatch):
    matrix = sparse.random(40, 30, density=0.2, format="csr", random_state=0)
    values = torch.randn(30, 70, generator=torch.Generator().manual_seed(0))
    whole = _conv_steps.DglStep(matrix, torch.device("cpu"))
    monkeypatch.setattr(_conv_steps, "_REPEATED", 5 * matrix.nnz)
    parts = _conv_steps.DglStep(matrix, torch.device("cpu"))
    torch.testing.assert_close(parts(values), whole(values), rtol=0, atol=1e-6)
    assert parts._wide.shape == (matrix.nnz, 5)
    assert whole._wide.shape[1] == _conv_steps._SLICE
