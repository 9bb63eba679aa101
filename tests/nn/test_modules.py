"""Modules against what is written down about them."""

from __future__ import annotations

import math

import pytest
import torch

from phg2st_sc.nn import CrossAttention, HypergraphBlock, HypergraphConv, PromptEmbedding, ViTBlock
from phg2st_sc.nn._vit import Attention, offset_index


def test_prompt_embedding_is_the_written_formula():
    torch.manual_seed(0)
    module = PromptEmbedding(5, 8, dropout=0.5).eval()
    y = torch.rand(4, 5)
    u = y @ module.project.weight.T + module.project.bias
    gelu = u * 0.5 * (1.0 + torch.erf(u / math.sqrt(2.0)))
    mixed = gelu @ module.mix.weight.T + module.mix.bias + u
    expected = (mixed - mixed.mean(1, keepdim=True)) / torch.sqrt(mixed.var(1, unbiased=False, keepdim=True) + 1e-5)
    torch.testing.assert_close(module(y), expected)


def test_unprompted_spots_share_one_embedding():
    module = PromptEmbedding(5, 8).eval()
    tokens = module(torch.zeros(3, 5))
    assert torch.equal(tokens[0], tokens[1])
    assert torch.equal(tokens[0], tokens[2])


def test_hypergraph_convolution_on_one_hyperedge_is_the_mean():
    module = HypergraphConv(2, 2)
    with torch.no_grad():
        module.theta.weight.copy_(torch.eye(2))
        module.bias.fill_(10.0)
    x = torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    mean = torch.full((2, 2), 0.5)
    assert module(x, lambda z: mean @ z).tolist() == [[12.0, 12.0], [12.0, 12.0]]


def test_hypergraph_block_keeps_its_input_as_residual():
    block = HypergraphBlock(4, 3, dropout=0.5).eval()
    x = torch.randn(6, 4)
    with torch.no_grad():
        block.conv2.theta.weight.zero_()
    torch.testing.assert_close(block(x, lambda z: z), x)


def test_attention_is_softmax_of_scaled_products():
    torch.manual_seed(0)
    module = Attention(8, 2).eval()
    x, y = torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    bias = torch.randn(1, 2, 3, 5)
    q, k, v = module.query(x)[0], module.key(y)[0], module.value(y)[0]
    heads = []
    for h in range(2):
        part = slice(4 * h, 4 * h + 4)
        heads.append(torch.softmax(q[:, part] @ k[:, part].T / 2.0 + bias[0, h], dim=-1) @ v[:, part])
    torch.testing.assert_close(module(x, y, bias)[0], module.out(torch.cat(heads, dim=1)))


def test_offsets_are_by_rows_and_columns():
    index = offset_index(5)
    assert index.shape == (25, 25)
    assert (index.diagonal() == 0).all()
    assert torch.equal(index, index.T)
    assert index[0, 24] == 24  # corner to corner: four rows, four columns
    assert index[0, 1] == index[7, 6] == 1
    assert index[0, 5] == index[12, 17] == 5
    assert len(index.unique()) == 25


def test_blocks_add_to_their_input():
    for module in (ViTBlock(8, 2, mlp_ratio=2.0), CrossAttention(8, 2, mlp_ratio=2.0)):
        with torch.no_grad():
            for parameter in (*module.attention.out.parameters(), *module.mlp[3].parameters()):
                parameter.zero_()
        x = torch.randn(2, 3, 8)
        result = module(x) if isinstance(module, ViTBlock) else module(x, torch.randn(2, 4, 8))
        assert torch.equal(result, x)


def test_cross_attention_passes_over_keys_that_are_not_there():
    torch.manual_seed(0)
    module = CrossAttention(8, 2)
    q, kv = torch.randn(2, 1, 8), torch.randn(2, 4, 8)
    known = torch.tensor([[True, True, False, True], [False, False, False, False]])
    other = kv.clone()
    other[0, 2] = 99.0
    torch.testing.assert_close(module(q, kv, known)[0], module(q, other, known)[0])
    torch.testing.assert_close(module(q, kv, known)[1], module(q, kv)[1])  # none there: all of them stand in


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
def test_loss_has_three_parts(fraction):
    from phg2st_sc.models.phg2st_paper.network import NetworkOutput
    from phg2st_sc.nn import three_part_loss

    y = torch.tensor([[1.0, 2.0]])
    output = NetworkOutput(joint=y + 1.0, spots=y + 3.0, context=y - 1.0)
    expected = 1.0 + (1 - fraction) * (9.0 + 1.0) + fraction * (4.0 + 4.0)
    assert three_part_loss(output, y, distillation=fraction).item() == pytest.approx(expected)


def test_weighted_loss_weighs_spots():
    from phg2st_sc.models.phg2st_paper.network import NetworkOutput
    from phg2st_sc.nn import three_part_loss

    y = torch.zeros(2, 3)
    output = NetworkOutput(joint=torch.tensor([[1.0] * 3, [3.0] * 3]))
    assert three_part_loss(output, y, weight=torch.tensor([2.0, 0.0])).item() == pytest.approx(1.0)
