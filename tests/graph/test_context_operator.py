"""The batch of small hypergraphs of context tiles."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phg2st_sc.graph import FeatureKNN, HypergraphOperator, context_operator


def one_by_one(features: torch.Tensor, present: torch.Tensor, k: int) -> torch.Tensor:
    """The same through the builder of spot hypergraphs and the sparse operator."""
    out = torch.zeros(len(features), features.shape[1], features.shape[1], dtype=torch.float64)
    for block, (values, there) in enumerate(zip(features, present, strict=True)):
        index = torch.nonzero(there).ravel()
        if not len(index):
            continue
        positions = np.stack([index.numpy(), np.zeros(len(index))], axis=1)
        hypergraph = FeatureKNN(n_neighbors=k).build(positions, values[index].numpy())
        operator = HypergraphOperator(hypergraph, engine="torch")
        out[block][np.ix_(index, index)] = operator.apply(torch.eye(len(index), dtype=torch.float64))
    return out


@pytest.mark.parametrize("k", [1, 4, 30])
def test_blocks_equal_the_hypergraph_built_one_by_one(k: int) -> None:
    rng = np.random.default_rng(0)
    features = torch.as_tensor(rng.normal(size=(12, 25, 7)))
    present = torch.as_tensor(rng.uniform(size=(12, 25)) < rng.uniform(size=(12, 1)))
    present[0], present[1] = True, False
    present[2] = torch.arange(25) == 3
    found = context_operator(features, present, k)
    torch.testing.assert_close(found, one_by_one(features, present, k), rtol=0, atol=1e-5)


def test_masked_tiles_play_no_part() -> None:
    rng = np.random.default_rng(1)
    features = torch.as_tensor(rng.normal(size=(3, 25, 5)), dtype=torch.float32)
    present = torch.as_tensor(rng.uniform(size=(3, 25)) < 0.6)
    found = context_operator(features, present)
    other = torch.where(present[..., None], features, torch.nan)
    assert torch.equal(found, context_operator(other, present))
    absent = ~present
    assert found[absent].abs().sum() == 0
    assert found.mT[absent].abs().sum() == 0
    torch.testing.assert_close(found.sum(dim=2), present.float())


def test_takes_the_nearest_tile() -> None:
    features = torch.tensor([[[0.0], [1.0], [10.0], [12.0]]])
    found = context_operator(features, n_neighbors=1)[0]
    assert (found[:2, 2:] == 0).all()
    assert (found[2:, :2] == 0).all()
    assert (found[[0, 2], [1, 3]] > 0).all()


def test_nearer_tiles_weigh_more() -> None:
    features = torch.tensor([[[0.0], [1.0], [1.5], [9.0]]], dtype=torch.float64)
    found = context_operator(features, n_neighbors=3)[0]
    assert found[0, 0] > found[0, 3]
    assert found[3, 3] > found[0, 3]


def test_equal_tiles_share_alike() -> None:
    found = context_operator(torch.ones(2, 25, 3), n_neighbors=24)
    torch.testing.assert_close(found, torch.full((2, 25, 25), 1 / 25))


def test_convolution_is_a_batched_product_with_gradients() -> None:
    features = torch.randn(4, 25, 6, dtype=torch.float64)
    operator = context_operator(features.requires_grad_())
    assert not operator.requires_grad
    x = torch.randn(4, 25, 3, dtype=torch.float64, requires_grad=True)
    torch.bmm(operator, x).sum().backward()
    torch.testing.assert_close(x.grad, operator.sum(dim=1)[..., None].expand_as(x))


def test_dtype_and_edge_sizes() -> None:
    assert context_operator(torch.randn(2, 25, 4, dtype=torch.float16)).dtype == torch.float32
    assert context_operator(torch.randn(2, 1, 4)).tolist() == [[[1.0]], [[1.0]]]
    assert context_operator(torch.randn(0, 25, 4)).shape == (0, 25, 25)
    with pytest.raises(ValueError, match=r"\(2, 25, 4\).*\(2, 24\)"):
        context_operator(torch.randn(2, 25, 4), torch.ones(2, 24))
    with pytest.raises(ValueError, match="at least 1"):
        context_operator(torch.randn(2, 25, 4), n_neighbors=0)
