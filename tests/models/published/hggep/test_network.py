"""HGGEP against its published size, block by block against plain formulas, and at its edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from phg2st_sc.graph import CombinedKNN, HypergraphOperator
from phg2st_sc.models.published._network import SpotInputs, SpotTargets
from phg2st_sc.models.published.hggep.blocks import CBAM, CrossDifferenceConv, GradientEnhance
from phg2st_sc.models.published.hggep.network import HGGEPConfig, HGGEPNetwork, PictureTaps, map_side
from phg2st_sc.nn import HypergraphConv

SMALL = {
    "n_genes": 3,
    "patch_px": 36,
    "edge_channels": 2,
    "n_positions": 5,
    "width": 8,
    "depth": 1,
    "heads": 2,
    "n_neighbors": 2,
    "hypergraph_width": 4,
    "lstm_depth": 2,
    "n_views": 2,
}


def slide(n: int = 9) -> SpotInputs:
    generator = torch.Generator().manual_seed(1)
    grid = torch.stack([torch.arange(n) % 3, torch.arange(n) // 3], dim=1)
    return SpotInputs(
        rows=torch.arange(n),
        positions=grid.float(),
        grid=grid,
        patches=torch.randint(256, (n, 3, 36, 36), generator=generator).to(torch.uint8),
        features=torch.randn(n, 6, generator=generator),
    )


def network(**changes) -> HGGEPNetwork:
    torch.manual_seed(0)
    return HGGEPNetwork(HGGEPConfig(**{**SMALL, **changes})).eval()


def warmed(n_features: int | None) -> HGGEPNetwork:
    """With statistics of batch normalisation: by those of nothing, next to nothing of a picture gets through."""
    made = network(n_features=n_features).train()
    with torch.no_grad():
        for _ in range(20):
            made(slide())
    return made.eval()


def targets(rows: int) -> SpotTargets:
    generator = torch.Generator().manual_seed(2)
    counts = torch.poisson(torch.full((rows, 3), 2.0), generator=generator)
    return SpotTargets(torch.log10(1.0 + counts), counts, torch.ones(rows))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


# --- size -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n_views", "millions"), [(0, 115.3), (5, 116.4)])
def test_the_published_size(n_views, millions):
    with torch.device("meta"):
        made = HGGEPNetwork(HGGEPConfig(n_genes=785, n_views=n_views))
    assert sum(p.numel() for p in made.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    edges = made.picture.edges(torch.empty(1, 3, 112, 112, device="meta"))
    assert made.picture.backbone(edges).conv5.shape == (1, 1024, 4, 4)


@pytest.mark.parametrize("patch_px", [24, 31, 60, 61])
@torch.no_grad()
def test_the_side_of_maps_is_known_beforehand(patch_px):
    torch.manual_seed(0)
    taps = PictureTaps(HGGEPConfig(n_genes=2, patch_px=patch_px, width=36, edge_channels=1)).eval()
    picture = torch.zeros(2, 3, patch_px, patch_px, dtype=torch.uint8)
    assert [tap.shape for tap in taps(picture)] == [(2, 36)] * 3
    side = map_side(patch_px)
    assert taps.backbone(taps.edges(picture.float())).conv5.shape[2:] == (side, side)


def test_widths_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"width=10 must be a multiple of 16, .* patch_px=112"):
        network(width=10, patch_px=112)


# --- blocks -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("theta", [0.0, 0.7, 1.0])
@torch.no_grad()
def test_a_central_difference_is_the_written_formula(theta, stride):
    torch.manual_seed(0)
    module, x = CrossDifferenceConv(2, 3, stride=stride, theta=theta), torch.randn(2, 2, 5, 6)
    around = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)))
    shown = {  # above, left, itself, right, below
        0: around[:, :, :-2, 1:-1],
        1: around[:, :, 1:-1, :-2],
        2: x.numpy(),
        3: around[:, :, 1:-1, 2:],
        4: around[:, :, 2:, 1:-1],
    }
    weight = module.weight.numpy()
    expected = sum(np.einsum("oc,nchw->nohw", weight[:, :, k], seen - theta * x.numpy()) for k, seen in shown.items())
    expected = (expected + module.bias.numpy()[None, :, None, None])[:, :, ::stride, ::stride]
    np.testing.assert_allclose(module(x).numpy(), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_both_branches_are_put_together():
    torch.manual_seed(0)
    module, x = GradientEnhance(2).eval(), torch.randn(1, 3, 6, 6)
    both = np.concatenate([module.plain(x).numpy(), module.edges(x).numpy()], axis=1)
    joined = np.pad(both, ((0, 0), (0, 0), (1, 1), (1, 1)))  # one more pixel on each side: a bias alone
    convolution = module.join[0]
    joined = np.einsum("oc,nchw->nohw", convolution.weight.numpy()[:, :, 0, 0], joined)
    joined = (joined + convolution.bias.numpy()[None, :, None, None]) / np.sqrt(1.0 + 1e-5)
    np.testing.assert_allclose(module(x).numpy(), np.clip(joined, 0.0, 6.0), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_attention_to_channels_and_places_is_the_written_formula():
    torch.manual_seed(0)
    module, x = CBAM(8, reduction=4, kernel=3), torch.randn(2, 8, 3, 4)
    seen = x.numpy()
    down, up = (module.channels[i].weight.numpy() for i in (0, 2))
    said = [np.maximum(pooled @ down.T, 0.0) @ up.T for pooled in (seen.mean((2, 3)), seen.max((2, 3)))]
    seen = seen * sigmoid(said[0] + said[1])[:, :, None, None]
    pooled = np.pad(np.stack([seen.mean(1), seen.max(1)], axis=1), ((0, 0), (0, 0), (1, 1), (1, 1)))
    kernel = module.places.weight.numpy()[0]
    places = sum(
        kernel[None, :, i, j, None, None] * pooled[:, :, i : i + 3, j : j + 4] for i in range(3) for j in range(3)
    )
    np.testing.assert_allclose(module(x).numpy(), seen * sigmoid(places.sum(1))[:, None], rtol=1e-4, atol=1e-5)


# --- hypergraph -------------------------------------------------------------------------------------------------------
def incidence(n: int = 12, k: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    built = CombinedKNN(n_neighbors=k).build(rng.uniform(size=(n, 2)), rng.normal(size=(n, 4)))
    return built.incidence.toarray().astype(np.float64)


def dense(weights: np.ndarray, x: np.ndarray, module: HypergraphConv) -> np.ndarray:
    z = x @ module.theta.weight.detach().numpy().T
    return (weights / weights.sum(1, keepdims=True)) @ ((weights / weights.sum(0)).T @ z) + module.bias.detach().numpy()


@pytest.mark.parametrize("unit", [True, False])
@torch.no_grad()
def test_a_hypergraph_convolution_is_the_written_formula(unit):
    torch.manual_seed(0)
    weights = (incidence() > 0).astype(float) if unit else incidence()
    module, x = HypergraphConv(4, 3), torch.randn(12, 4)
    module.bias.normal_()
    found = module(x, HypergraphOperator(weights, engine="torch").apply)
    np.testing.assert_allclose(found.numpy(), dense(weights, x.numpy(), module), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_with_unit_weights_it_is_that_of_pytorch_geometric():
    geometric = pytest.importorskip("torch_geometric.nn", reason="PyTorch Geometric is not installed")
    torch.manual_seed(0)
    weights, x = (incidence() > 0).astype(float), torch.randn(12, 4)
    module, theirs = HypergraphConv(4, 3), geometric.HypergraphConv(4, 3)
    module.theta.weight.copy_(theirs.lin.weight)
    module.bias.copy_(theirs.bias.normal_())
    members = torch.from_numpy(np.stack(np.nonzero(weights)))
    torch.testing.assert_close(module(x, HypergraphOperator(weights, engine="torch").apply), theirs(x, members))


def test_hyperedges_hold_the_nearest_and_alike():
    made = network(n_features=6, n_neighbors=1)
    positions = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    tokens = torch.tensor([0.0, 9.0, 0.0, 9.0])[:, None].expand(4, 8).requires_grad_()
    hypergraph = made.propagation(positions, tokens).incidence.toarray()
    assert (hypergraph > 0).astype(int).tolist() == [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    assert hypergraph.diagonal().tolist() == [1.0] * 4


def test_tokens_that_went_astray_are_named():
    made = network(n_features=6)
    with torch.no_grad():
        made.position.column.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match=r"not finite: .* lower `lr`"):
        made(slide())


# --- the whole network ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n_features", [None, 6])
@torch.no_grad()
def test_order_of_spots_and_choice_of_rows(n_features):
    made, seen = warmed(n_features), slide()
    order = torch.tensor([4, 0, 6, 8, 2, 1, 7, 5, 3])
    moved = {name: getattr(seen, name)[order] for name in ("positions", "grid", "patches", "features")}
    result = made(seen)
    torch.testing.assert_close(made(replace(seen, **moved)), result[order])
    torch.testing.assert_close(made(replace(seen, rows=torch.tensor([5, 2]))), result[[5, 2]])
    assert torch.equal(made(seen), result)
    assert not torch.equal(made.train()(seen), result)


@pytest.mark.parametrize("n_features", [None, 6])
@torch.no_grad()
def test_what_is_seen_anywhere_reaches_every_spot(n_features):
    made, seen = warmed(n_features), slide()
    other = replace(seen, patches=seen.patches.clone(), features=seen.features.clone())
    other.patches[8], other.features[8] = 0, 3.0
    assert ((made(other) - made(seen)).abs().amax(dim=1) > 0).all()


@pytest.mark.parametrize("n_features", [None, 6])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_slides_have_finite_predictions_and_gradients(n, n_features):
    made, seen = network(n_features=n_features).train(), slide()
    tiny = {name: getattr(seen, name)[:n] for name in ("rows", "positions", "grid", "patches", "features")}
    few = replace(seen, **tiny)
    loss = made.training_loss(few, targets(n))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)
    assert torch.isfinite(made.eval()(few)).all()


@pytest.mark.parametrize("n_features", [None, 6])
def test_every_part_learns(n_features):
    made = network(n_features=n_features).train()
    made.training_loss(replace(slide(), rows=torch.tensor([1, 4, 6])), targets(3)).backward()
    # a bias before a batch normalisation, or common to all views, has no say
    weights = [(name, p.grad) for name, p in made.named_parameters() if "bias" not in name]
    still = [name for name, gradient in weights if gradient is None or not gradient.abs().sum() > 0]
    assert still == []


def test_its_configuration_is_plain():
    config = HGGEPConfig(**SMALL)
    assert HGGEPConfig(**config.as_dict()) == config
