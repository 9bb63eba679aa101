"""Both engines against a dense reference in double precision, in values and gradients."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from dgl_expected import DGL_EXPECTED
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from phg2st_sc.graph import CombinedKNN, HypergraphOperator, hypergraph_conv
from phg2st_sc.graph._conv_engine import dgl_problem

ENGINES = ["torch", "dgl"] if DGL_EXPECTED or dgl_problem("cpu") is None else ["torch"]


def reference(incidence: np.ndarray) -> np.ndarray:
    """D_v^-1 H D_e^-1 H^T, entry by entry."""
    n, m = incidence.shape
    out = np.zeros((n, n))
    spot, edge = incidence.sum(axis=1), incidence.sum(axis=0)
    for i in range(n):
        for e in range(m):
            if incidence[i, e] > 0:
                out[i] += incidence[i, e] / spot[i] * incidence[:, e] / edge[e]
    return out


@st.composite
def incidences(draw: st.DrawFn) -> np.ndarray:
    """Hyperedges of unequal sizes and weights, with spots in none and hyperedges of none."""
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = rng.uniform(0, 1, m)
    weights = rng.exponential(size=(n, m)) * 10.0 ** rng.integers(-3, 3, (n, m))
    incidence = np.where(rng.uniform(size=(n, m)) < density, weights, 0.0)
    incidence[rng.uniform(size=n) < 0.2] = 0.0
    incidence[:, rng.uniform(size=m) < 0.2] = 0.0
    return incidence


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=40, deadline=None)
@given(incidence=incidences(), d=st.integers(1, 5))
def test_values_and_gradients_are_those_of_the_dense_reference(engine: str, incidence: np.ndarray, d: int) -> None:
    operator = HypergraphOperator(incidence, engine=engine)
    dense = torch.as_tensor(reference(incidence))
    rng = np.random.default_rng(0)
    values = torch.as_tensor(rng.normal(size=(len(incidence), d)))
    theta = torch.as_tensor(rng.normal(size=(d, 3)))
    direction = torch.as_tensor(rng.normal(size=(len(incidence), 3)))
    found = [values.clone().requires_grad_(), theta.clone().requires_grad_()]
    known = [values.clone().requires_grad_(), theta.clone().requires_grad_()]
    out = hypergraph_conv(*found, operator)
    expected = dense @ known[0] @ known[1]
    torch.testing.assert_close(out, expected, rtol=1e-10, atol=1e-12)
    (out * direction).sum().backward()
    (expected * direction).sum().backward()
    for ours, theirs in zip(found, known, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("d", [1, 64, 130])
def test_features_of_any_width(engine: str, d: int) -> None:
    rng = np.random.default_rng(3)
    incidence = np.where(rng.uniform(size=(20, 15)) < 0.3, rng.uniform(size=(20, 15)), 0.0)
    x = torch.as_tensor(rng.normal(size=(20, d))).requires_grad_()
    out = HypergraphOperator(incidence, engine=engine).apply(x)
    direction = torch.as_tensor(rng.normal(size=(20, d)))
    (out * direction).sum().backward()
    dense = torch.as_tensor(reference(incidence))
    torch.testing.assert_close(out, dense @ x.detach(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(x.grad, dense.T @ direction, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_act_on_the_messages_not_only_on_the_degrees(engine: str) -> None:
    """One hyperedge of weights 3 and 1: its mean leans to the heavy spot. Weights in degrees alone would give 4."""
    operator = HypergraphOperator([[3.0], [1.0]], engine=engine)
    out = operator.apply(torch.tensor([[0.0], [8.0]], dtype=torch.float64))
    assert out.tolist() == [[2.0], [2.0]]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_spot_leans_to_the_hyperedge_in_which_it_is_heavy(engine: str) -> None:
    operator = HypergraphOperator([[3.0, 1.0], [3.0, 0.0], [0.0, 1.0]], engine=engine)
    out = operator.apply(torch.tensor([[0.0], [8.0], [80.0]], dtype=torch.float64))
    assert out.tolist() == [[0.75 * 4 + 0.25 * 40], [4.0], [40.0]]


@pytest.mark.parametrize("engine", ENGINES)
def test_spots_of_no_hyperedge_get_zero_and_zero_gradient(engine: str) -> None:
    operator = HypergraphOperator([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 2.0, 0.0]], engine=engine)
    x = torch.ones(3, 2, requires_grad=True)
    out = operator.apply(x)
    out.sum().backward()
    assert out.tolist() == [[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]]
    assert x.grad[1].tolist() == [0.0, 0.0]
    empty = HypergraphOperator(np.zeros((3, 2)), engine=engine)
    assert empty.apply(x).tolist() == np.zeros((3, 2)).tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_order_of_spots_and_of_hyperedges_plays_no_part(engine: str) -> None:
    rng = np.random.default_rng(1)
    positions, features = rng.normal(size=(50, 2)), rng.normal(size=(50, 6))
    shuffle = rng.permutation(50)
    x = torch.as_tensor(rng.normal(size=(50, 4)))
    first = HypergraphOperator(CombinedKNN().build(positions, features), engine=engine).apply(x)
    shuffled = CombinedKNN().build(positions[shuffle], features[shuffle])
    second = HypergraphOperator(shuffled, engine=engine).apply(x[shuffle])
    torch.testing.assert_close(first[shuffle], second, rtol=1e-12, atol=1e-12)
    columns = shuffled.incidence[:, rng.permutation(50)]
    third = HypergraphOperator(columns, engine=engine).apply(x[shuffle])
    torch.testing.assert_close(second, third, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)],
)
def test_dtypes_come_back_as_they_went_in(engine: str, dtype: torch.dtype, tolerance: float) -> None:
    rng = np.random.default_rng(2)
    incidence = np.where(rng.uniform(size=(30, 30)) < 0.2, rng.uniform(size=(30, 30)), 0.0)
    x = torch.as_tensor(rng.normal(size=(30, 5)), dtype=dtype).requires_grad_()
    out = HypergraphOperator(incidence, engine=engine).apply(x)
    out.float().sum().backward()
    assert out.dtype == x.grad.dtype == dtype
    expected = reference(incidence) @ x.detach().double().numpy()
    np.testing.assert_allclose(out.detach().double().numpy(), expected, atol=tolerance)


@pytest.mark.parametrize("engine", ENGINES)
def test_autocast_does_not_cost_precision(engine: str) -> None:
    x = torch.tensor([[1.0], [1.001]])
    operator = HypergraphOperator([[1.0], [1.0]], engine=engine)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = operator.apply(x)
    torch.testing.assert_close(out, torch.full((2, 1), 1.0005))


@pytest.mark.parametrize("engine", ENGINES)
def test_copies_and_pickles_work_and_hold_no_dgl_objects(engine: str) -> None:
    operator = HypergraphOperator(np.tri(6), engine=engine)
    x = torch.randn(6, 3, dtype=torch.float64)
    expected = operator.apply(x)
    stored = pickle.dumps(operator)
    assert b"DGL" not in stored
    assert b"heterograph" not in stored
    for other in (copy.deepcopy(operator), pickle.loads(stored)):
        assert torch.equal(other.apply(x), expected)
    assert operator.to("cpu") is operator


def test_another_device_keeps_the_engine_that_was_asked_for() -> None:
    moved = HypergraphOperator(np.tri(3), engine="torch").to("meta")
    assert (moved.engine, moved.device.type) == ("torch", "meta")


def test_second_gradients_of_the_torch_engine() -> None:
    operator = HypergraphOperator(np.tri(4), engine="torch")
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda v: operator.apply(v**2), x)


def test_what_does_not_fit_is_refused() -> None:
    operator = HypergraphOperator(sparse.identity(3), engine="torch")
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(3, d\)"):
        operator.apply(torch.ones(4, 2))
    with pytest.raises(ValueError, match="d of at least 1"):
        operator.apply(torch.ones(3, 0))
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="negative, NaN or infinite"):
            HypergraphOperator([[bad]], engine="torch")
