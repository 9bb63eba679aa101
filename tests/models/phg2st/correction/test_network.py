"""The network that corrects: nothing at the start, every prompt everywhere once trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from slide_tensors import random_slide

from phg2st_sc.graph import HypergraphOperator, PositionKNN
from phg2st_sc.models.phg2st.correction.kriging_head import KrigingHead, component_groups
from phg2st_sc.models.phg2st.correction.network import CorrectionNetwork, Evidence
from phg2st_sc.models.phg2st_paper.network import PHG2STNetwork
from phg2st_sc.nn import NetworkConfig, SlideTensors
from phg2st_sc.nn._config import CORRECTION
from phg2st_sc.nn._propagate import PropagationBlock

K = 5
PARTS = ("propagation", "hypergraph", "residual_head", "histology")


@pytest.fixture
def slide() -> SlideTensors:
    return random_slide()


def config(**changes) -> NetworkConfig:
    sizes = {**CORRECTION, "width": 16, "hypergraph_width": 8}
    return NetworkConfig(n_features=6, n_genes=K, **{**sizes, **changes})


def make(*, rough: float = 0.1, **changes) -> CorrectionNetwork:
    torch.manual_seed(0)
    network = CorrectionNetwork(config(**changes), torch.linspace(1.0, 0.2, K)).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(rough * torch.randn_like(parameter))
    return network


def evidence(n: int = 30, prompts=(2, 9, 17, 25), seed: int = 0) -> Evidence:
    rng = np.random.default_rng(seed)
    p = len(prompts)
    parts = [(p, K), (p, K), (p, K), (n, K), (n,)]
    observed, noise, left_out, predicted, spread = (
        torch.from_numpy(rng.normal(size=shape).astype(np.float32)) for shape in parts
    )
    index = torch.tensor(prompts, dtype=torch.long)
    return Evidence(index, observed, noise.abs(), left_out, predicted, spread.abs().clamp(max=1), torch.tensor(500.0))


@pytest.mark.parametrize("off", [None, *PARTS])
@pytest.mark.parametrize("image", [True, False])
def test_untrained_it_corrects_nothing(image, off):
    network = make(rough=0.0, **({} if off is None else {off: False}))
    assert not network(random_slide(image=image), evidence()).abs().max() > 1e-6


@pytest.mark.parametrize("image", [True, False])
def test_every_prompt_reaches_every_spot(image):
    network, given = make(), evidence()
    slide = random_slide(image=image)
    before = network(slide, given)
    observed = given.observed.clone()
    observed[1] += 2.0
    after = network(slide, replace(given, observed=observed))
    assert (before != after).any(dim=1).all()


def test_without_propagation_and_residual_head_a_prompt_moves_others_by_the_level_alone(slide):
    network, given = make(propagation=False, residual_head=False), evidence()
    left_out = given.left_out.clone()
    left_out[1] += 2.0
    moved = (network(slide, given) != network(slide, replace(given, left_out=left_out))).any(dim=1)
    assert moved.nonzero().flatten().tolist() == [9]


def line(n: int) -> SlideTensors:
    where = np.stack([np.arange(n), np.zeros(n)], axis=1).astype(float)
    propagation = HypergraphOperator(PositionKNN(n_neighbors=2).build(where), engine="torch")
    return SlideTensors(torch.from_numpy(where.astype(np.float32)), propagation)


def test_influence_fades_with_distance():
    torch.manual_seed(0)
    head = KrigingHead(16, torch.zeros(K, dtype=torch.long))
    with torch.no_grad():
        head.gate.fill_(1.0)
        head.project.weight.zero_()
    slide, index = line(40), torch.tensor([0])
    found = head(torch.randn(40, 16), slide.positions, index, torch.ones(1, K), torch.ones(1, K))
    assert (found[1:] < found[:-1]).all()
    assert found[39].abs().max() < 1e-3 * found[0].abs().max()
    assert (found > 0).all()


def test_attention_prefers_what_is_near_alike_and_measured():
    block = PropagationBlock(8, 2, dropout=0.0).eval()
    with torch.no_grad():
        for module in (block.attention.query, block.attention.key):
            module.weight.zero_()
        block.attention.value.weight.copy_(torch.eye(8))
        block.attention.out.weight.copy_(torch.eye(8))
        block.attention.out.bias.zero_()
    n = 5
    normed = torch.eye(n, 8)
    where = torch.tensor([[0.0, 0], [1, 0], [2, 0], [1, 0], [1, 0]])
    looks = torch.tensor([[0.0], [0.0], [0.0], [2.0], [0.0]])
    measured = torch.tensor([False, False, False, False, True])
    weight = block._attend(normed, where, looks, measured, torch.arange(n))[0]
    assert weight[1] > weight[2]  # nearer
    assert weight[1] > weight[3]  # more alike
    assert weight[4] > weight[1]  # measured


def test_kriging_head_is_the_dense_formula():
    torch.manual_seed(1)
    n, index = 20, torch.tensor([1, 4, 8, 15])
    groups = component_groups(torch.tensor([0.5, 2.0, 1.0, 0.1, 0.2]))
    head = KrigingHead(6, groups, kernel_width=3)
    with torch.no_grad():
        head.gate.copy_(torch.randn(K))
        head.amplitude.copy_(torch.randn(int(groups.max()) + 1))
    tokens, where = torch.randn(n, 6), 4.0 * torch.rand(n, 2)
    residual, noise = torch.randn(4, K), torch.rand(4, K)
    found = head(tokens, where, index, residual, noise).detach().numpy()

    def plus(x):
        return np.log1p(np.exp(x.detach().double().numpy()))

    z = tokens.double().numpy() @ head.project.weight.detach().double().numpy().T
    x = where.double().numpy()
    base = np.exp(-np.linalg.norm(x[:, None] - x, axis=2) / plus(head.length))
    base *= np.exp(-(np.linalg.norm(z[:, None] - z, axis=2) ** 2) / 2)
    for j in range(K):
        g = groups[j]
        members = (groups == g).numpy()
        diagonal = noise.double().numpy()[:, members].mean(axis=1) + plus(head.nugget)[g] + 1e-6
        kernel = plus(head.amplitude)[g] * base
        weights = np.linalg.solve(kernel[np.ix_(index, index)] + np.diag(diagonal), residual.double().numpy()[:, j])
        expected = head.gate[j].item() * kernel[:, index] @ weights
        np.testing.assert_allclose(found[:, j], expected, rtol=1e-4, atol=1e-5)


def test_groups_are_quarters_by_scale():
    assert component_groups(torch.tensor([1.0, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0])).tolist() == [3, 0, 3, 0, 2, 1, 2, 1]
    assert component_groups(torch.tensor([1.0, 2.0])).tolist() == [1, 0]


@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize("prompts", [(3,), (2, 9, 17, 25), tuple(range(29))])
def test_gradients_are_finite_and_reach_every_parameter(prompts, image):
    network = make().train()
    network(random_slide(image=image), evidence(prompts=prompts)).square().mean().backward()
    missing = [name for name, value in network.named_parameters() if value.grad is None]
    assert missing == []
    assert all(torch.isfinite(value.grad).all() for value in network.parameters())


def test_without_prompts_nothing_is_corrected(slide):
    assert not make()(slide, evidence(prompts=())).any()


def test_order_of_spots_plays_no_role(slide):
    network, given = make(), evidence()
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3))
    incidence = slide.propagation.incidence[order.numpy()][:, order.numpy()]
    shuffled = replace(
        slide,
        positions=slide.positions[order],
        features=slide.features[order],
        context_index=slide.context_index[order],
        context_operator=slide.context_operator[order],
        propagation=HypergraphOperator(incidence, engine="torch"),
    )
    there = replace(
        given,
        index=torch.argsort(order)[given.index],
        predicted=given.predicted[order],
        spread=given.spread[order],
    )
    torch.testing.assert_close(network(shuffled, there), network(slide, given)[order], rtol=1e-4, atol=1e-5)


def test_chunks_of_queries_change_nothing(monkeypatch, slide):
    network, given = make().train(), evidence()
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "rate"):
            module.rate = 0.0
    results = []
    for whole in (1024, 16):
        monkeypatch.setattr("phg2st_sc.nn._propagate._WHOLE", whole)
        network.zero_grad()
        found = network(slide, given)
        found.square().sum().backward()
        results.append((found.detach(), network.mask.grad.clone()))
    torch.testing.assert_close(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_more_prompts_than_can_be_solved_are_thinned_evenly(monkeypatch):
    from phg2st_sc.models.phg2st.correction import kriging_head as _kriging_head

    monkeypatch.setattr(_kriging_head, "_MOST_PROMPTS", 10)
    where = line(40).positions
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    kept = sorted(where[_kriging_head._thinned(where)][:, 0].tolist())
    assert kept == [float(4 * i) for i in range(10)]
    assert sorted(where[order][_kriging_head._thinned(where[order])][:, 0].tolist()) == kept


def test_records_of_older_networks_still_load():
    old = {k: v for k, v in NetworkConfig(6, K).as_dict().items() if k not in (*PARTS, "kernel_width")}
    assert NetworkConfig(**old) == NetworkConfig(6, K)


def test_the_correcting_fusion_is_refused_where_nothing_is_corrected():
    with pytest.raises(ValueError, match="'propagate' corrects a linear prediction"):
        PHG2STNetwork(config())
