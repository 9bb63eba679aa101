"""What the equations of the network say, on random slides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from slide_tensors import N_GENES, N_SPOTS, random_slide, small_config

from phg2st_sc.graph import HypergraphOperator
from phg2st_sc.models.phg2st_paper.network import PHG2STNetwork
from phg2st_sc.nn import SlideTensors

BRANCHES = ("both", "spot", "context")


@pytest.fixture
def slide() -> SlideTensors:
    return random_slide()


@pytest.fixture
def expression() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).gamma(1.0, size=(N_SPOTS, N_GENES)).astype(np.float32))


@pytest.fixture
def measured() -> torch.Tensor:
    mask = torch.zeros(N_SPOTS, dtype=torch.bool)
    mask[[2, 9, 17, 25]] = True
    return mask


def make(config, seed: int = 0) -> PHG2STNetwork:
    """Network with every parameter drawn at random: zeros at the start hide errors."""
    torch.manual_seed(seed)
    network = PHG2STNetwork(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.mark.parametrize("branches", BRANCHES)
def test_a_prompt_moves_the_prediction_of_its_own_spot_alone(slide, expression, measured, branches):
    network = make(small_config(branches=branches))
    before = network(slide, expression, measured).joint
    changed = expression.clone()
    changed[9] += 3.0
    after = network(slide, changed, measured).joint
    moved = (before != after).any(dim=1)
    assert moved.nonzero().flatten().tolist() == [9]


@pytest.mark.parametrize("branches", BRANCHES)
def test_adding_a_prompt_moves_that_spot_alone(slide, expression, measured, branches):
    network = make(small_config(branches=branches))
    before = network(slide, expression, measured).joint
    more = measured.clone()
    more[20] = True
    after = network(slide, expression, more).joint
    assert (before != after).any(dim=1).nonzero().flatten().tolist() == [20]


def test_expression_of_unprompted_spots_is_not_read(slide, expression, measured):
    network = make(small_config(prompt_head=True))
    hidden = expression.clone()
    hidden[~measured] = torch.nan
    for seen, unseen in zip(
        network(slide, expression, measured).branches, network(slide, hidden, measured).branches, strict=True
    ):
        assert torch.equal(seen, unseen)
    assert torch.equal(network(slide, expression, measured).joint, network(slide, hidden, measured).joint)


def permuted(slide: SlideTensors, order: torch.Tensor) -> SlideTensors:
    incidence = slide.propagation.incidence[order.numpy()][:, order.numpy()]
    return replace(
        slide,
        positions=slide.positions[order],
        features=slide.features[order],
        context_index=slide.context_index[order],
        context_operator=slide.context_operator[order],
        propagation=HypergraphOperator(incidence, engine="torch"),
    )


@pytest.mark.parametrize("positional_conv", [False, True])
def test_order_of_spots_plays_no_role(slide, expression, measured, positional_conv):
    network = make(small_config(positional_conv=positional_conv)).double()
    slide = replace(
        slide,
        **{name: getattr(slide, name).double() for name in ("positions", "features", "tiles", "context_operator")},
    )
    network.spots.hypergraph.double()
    order = torch.randperm(slide.n_spots, generator=torch.Generator().manual_seed(3))
    straight = network(slide, expression.double(), measured).joint
    shuffled = network(permuted(slide, order), expression.double()[order], measured[order]).joint
    torch.testing.assert_close(shuffled, straight[order], rtol=1e-5, atol=1e-6)


def test_some_rows_are_the_same_rows_of_all(slide, expression, measured):
    network = make(small_config())
    rows = torch.tensor([3, 9, 28])
    part = network(slide, expression, measured, rows)
    whole = network(slide, expression, measured)
    torch.testing.assert_close(part.joint, whole.joint[rows])
    torch.testing.assert_close(part.context, whole.context[rows])
    torch.testing.assert_close(network.tokens_in_chunks(slide, chunk=7).context, network.tokens(slide).context)


def test_no_dropout_at_inference(slide, expression, measured):
    network = make(small_config(dropout=0.5, context_dropout=0.5, prompt_dropout=0.5, graph_dropout=0.5))
    assert torch.equal(network(slide, expression, measured).joint, network(slide, expression, measured).joint)
    network.train()
    first, second = (network(slide, expression, measured).joint for _ in range(2))
    assert not torch.equal(first, second)


def test_missing_tiles_play_no_part(slide, expression, measured):
    """A tile that is not there has no place in the mean; the others attend to none of them."""
    network = make(small_config())
    tiles = slide.tiles.clone()
    elsewhere = torch.cat([tiles, torch.full((1, tiles.shape[1]), 50.0)])
    same = network(replace(slide, tiles=elsewhere), expression, measured).joint
    assert torch.equal(same, network(slide, expression, measured).joint)
    with torch.no_grad():
        network.context.input.missing += 5.0
    moved = network(slide, expression, measured)
    torch.testing.assert_close(moved.joint, same, rtol=1e-4, atol=1e-4)


def test_a_slide_without_an_image_is_predicted_and_trains(expression, measured):
    network = make(small_config()).train()
    output = network(random_slide(image=False), expression, measured)
    output.joint.sum().backward()
    assert torch.isfinite(output.joint).all()
    assert network.spots.input.missing.grad.abs().sum() > 0
    assert network.context.input.missing.grad.abs().sum() > 0


@pytest.mark.parametrize("image", [True, False])
@pytest.mark.parametrize("branches", BRANCHES)
def test_every_parameter_takes_part_in_every_step(expression, measured, branches, image):
    network = make(small_config(branches=branches, prompt_head=True, positional_conv=True)).train()
    output = network(random_slide(image=image), expression, measured)
    (output.joint.sum() + sum(part.sum() for part in output.branches)).backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    # distributed training fails on parameters that a step leaves out; offsets only bias attention where there are tiles
    assert without == []


def test_the_spot_branch_sees_its_hyperedges(slide, expression, measured):
    network = make(small_config(branches="spot", spot_blocks=0))
    before = network(slide, expression, measured).spots
    features = slide.features.clone()
    features[14] += 2.0
    after = network(replace(slide, features=features), expression, measured).spots
    incidence = slide.propagation.incidence.toarray() > 0
    neighbors = incidence @ incidence.T
    reached = neighbors[:, 14].copy()
    twice = (neighbors[:, reached].any(axis=1)).nonzero()[0]
    assert set((before != after).any(dim=1).nonzero().flatten().tolist()) <= set(twice.tolist())
    assert (before != after).any(dim=1).sum() > 1


def test_half_precision_autocast_runs(slide, expression, measured):
    network = make(small_config())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = network(slide, expression, measured).joint
    torch.testing.assert_close(output.float(), network(slide, expression, measured).joint, rtol=0.1, atol=0.3)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="branches='all'"):
        small_config(branches="all")
    with pytest.raises(ValueError, match="width=10 is not divisible"):
        small_config(width=10, spot_heads=4)
    with pytest.raises(ValueError, match="Unknown fusion 'magic'"):
        PHG2STNetwork(small_config(fusion="magic"))
    with pytest.raises(ValueError, match="distillation=2"):
        small_config(distillation=2)
