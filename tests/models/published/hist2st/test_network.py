"""Hist2ST against its published size, block by block against plain formulas, and at its edges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import erf

from phg2st_sc.models.published._network import SpotInputs, SpotTargets
from phg2st_sc.models.published.hist2st.convmixer import ConvMixer, ConvMixerBlock
from phg2st_sc.models.published.hist2st.graphsage import GraphSAGE, neighbor_graph
from phg2st_sc.models.published.hist2st.network import Hist2STConfig, Hist2STNetwork

SMALL = {
    "n_genes": 3,
    "patch_px": 8,
    "cell_px": 4,
    "channels": 4,
    "kernel": 3,
    "mixer_depth": 1,
    "n_positions": 5,
    "width": 8,
    "depth": 1,
    "heads": 2,
    "n_views": 2,
}


def with_graph(inputs: SpotInputs) -> SpotInputs:
    return replace(inputs, graphs=Hist2STNetwork.slide_graphs(inputs.positions, inputs.grid))


def slide(n: int = 9) -> SpotInputs:
    generator = torch.Generator().manual_seed(1)
    grid = torch.stack([torch.arange(n) % 3, torch.arange(n) // 3], dim=1)
    inputs = SpotInputs(
        rows=torch.arange(n),
        positions=grid.float(),
        grid=grid,
        patches=torch.randint(256, (n, 3, 8, 8), generator=generator).to(torch.uint8),
        features=torch.randn(n, 6, generator=generator),
    )
    return with_graph(inputs)


def network(**changes) -> Hist2STNetwork:
    torch.manual_seed(0)
    return Hist2STNetwork(Hist2STConfig(**{**SMALL, **changes})).eval()


def targets(rows: int) -> SpotTargets:
    generator = torch.Generator().manual_seed(2)
    counts = torch.poisson(torch.full((rows, 3), 2.0), generator=generator)
    return SpotTargets(torch.log10(1.0 + counts), counts, torch.ones(rows))


# --- size -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n_views", "millions"), [(0, 74.7), (5, 75.8)])
def test_the_published_size(n_views, millions):
    with torch.device("meta"):
        made = Hist2STNetwork(Hist2STConfig(n_genes=785, n_views=n_views))
    assert sum(p.numel() for p in made.parameters()) / 1e6 == pytest.approx(millions, abs=0.05)
    assert made.picture.cells(torch.empty(1, 3, 112, 112, device="meta")).shape == (1, 32, 16, 16)


# --- blocks -----------------------------------------------------------------------------------------------------------
def gelu(x):
    return x * 0.5 * (1.0 + erf(x / np.sqrt(2.0)))


def batch_norm(x, module):
    at = (None, slice(None), None, None)
    mean, var = module.running_mean.numpy()[at], module.running_var.numpy()[at]
    return (x - mean) / np.sqrt(var + 1e-5) * module.weight.numpy()[at] + module.bias.numpy()[at]


def depthwise(x, module):
    kernel, bias = module.weight.numpy()[:, 0], module.bias.numpy()
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    result = np.zeros_like(x)
    for i in range(3):
        for j in range(3):
            result += kernel[:, i, j][None, :, None, None] * around[:, :, i : i + x.shape[2], j : j + x.shape[3]]
    return result + bias[None, :, None, None]


def pointwise(x, module):
    return np.einsum("oc,nchw->nohw", module.weight.numpy()[:, :, 0, 0], x) + module.bias.numpy()[None, :, None, None]


def shaken(module):
    """Gains, biases and running statistics that are not their defaults."""
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            if value.is_floating_point():
                value.add_(0.2 * torch.rand_like(value))
    return module.eval()


@torch.no_grad()
def test_a_mixer_block_is_the_written_formula():
    torch.manual_seed(0)
    block = shaken(ConvMixerBlock(3, 3))
    x = torch.randn(2, 3, 4, 5)
    mixed = x.numpy()
    for convolution, normalize in ((block.depthwise[0], block.depthwise[1]), (block.depthwise[3], block.depthwise[4])):
        mixed = gelu(batch_norm(depthwise(mixed, convolution), normalize))
    expected = batch_norm(gelu(pointwise(mixed + x.numpy(), block.pointwise[0])), block.pointwise[2])
    np.testing.assert_allclose(block(x).numpy(), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_picture_without_blocks_is_two_linear_maps_of_its_cells():
    torch.manual_seed(0)
    module = ConvMixer(4, 8, cell_px=2, channels=3, kernel=3, depth=0, dropout=0.0)
    patches = torch.randint(256, (2, 3, 4, 4)).to(torch.uint8)
    cells = patches.numpy().reshape(2, 3, 2, 2, 2, 2).transpose(0, 2, 4, 1, 3, 5).reshape(2, 2, 2, 12) / 255.0
    maps = cells @ module.cells.weight.numpy().reshape(3, 12).T + module.cells.bias.numpy()
    maps = maps @ module.narrow.weight.numpy()[:, :, 0, 0].T + module.narrow.bias.numpy()
    np.testing.assert_allclose(module(patches).numpy(), maps.transpose(0, 3, 1, 2).reshape(2, 8), rtol=1e-4, atol=1e-5)


def test_pictures_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r"patch_px=9 must be a multiple of cell_px=4"):
        network(patch_px=9)
    with pytest.raises(ValueError, match=r"width=10 of the number of cells, 4"):
        network(width=10)


@torch.no_grad()
def test_a_graph_convolution_is_the_written_formula():
    torch.manual_seed(0)
    module, x = GraphSAGE(4), torch.randn(3, 4)
    graph = neighbor_graph(torch.tensor([[0.0, 0.0], [1.0, 0.0], [9.0, 0.0]]), n_neighbors=2, radius=2.0)
    mean = x.numpy()[[1, 0, 2]]  # the third is alone
    hidden = np.maximum(mean @ module.linear.weight.numpy().T, 0.0)
    expected = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
    found = module(x, graph["neighbors"], graph["neighbor_weights"])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_neighbors_are_the_nearest_and_not_the_spot_itself():
    seen = slide()
    weights = torch.zeros(9, 9)
    weights.scatter_add_(1, seen.graphs["neighbors"], seen.graphs["neighbor_weights"])
    assert weights[4].tolist() == [0, 0.25, 0, 0.25, 0, 0.25, 0, 0.25, 0]
    assert weights.diagonal().tolist() == [0.0] * 9
    torch.testing.assert_close(weights.sum(1), torch.ones(9))


# --- the whole network ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("n_features", [None, 6])
@torch.no_grad()
def test_order_of_spots_and_choice_of_rows(n_features):
    made, seen = network(n_features=n_features), slide()
    order = torch.tensor([4, 0, 6, 8, 2, 1, 7, 5, 3])
    moved = {name: getattr(seen, name)[order] for name in ("positions", "grid", "patches", "features")}
    result = made(seen)
    torch.testing.assert_close(made(with_graph(replace(seen, **moved))), result[order])
    torch.testing.assert_close(made(replace(seen, rows=torch.tensor([5, 2]))), result[[5, 2]])
    assert torch.equal(made(seen), result)
    assert not torch.equal(made.train()(seen), result)


@pytest.mark.parametrize("n_features", [None, 6])
@pytest.mark.parametrize("n", [1, 2, 9])
def test_lone_spots_have_finite_predictions_and_gradients(n, n_features):
    made = network(n_features=n_features).train()
    seen = slide(9)
    keep = torch.arange(n)
    apart = with_graph(
        replace(
            seen,
            rows=keep,
            positions=50.0 * seen.positions[keep],
            grid=50 * seen.grid[keep],
            patches=seen.patches[keep],
            features=seen.features[keep],
        )
    )
    loss = made.training_loss(apart, targets(n))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)
    assert torch.isfinite(made.eval()(apart)).all()


@pytest.mark.parametrize("n_features", [None, 6])
def test_every_part_learns(n_features):
    made = network(n_features=n_features).train()
    made.training_loss(replace(slide(), rows=torch.tensor([1, 4, 6])), targets(3)).backward()
    # a bias before a batch normalisation, or common to all views, has no say
    weights = [(name, p.grad) for name, p in made.named_parameters() if "bias" not in name]
    still = [name for name, gradient in weights if gradient is None or not gradient.abs().sum() > 0]
    assert still == []


def test_its_configuration_is_plain():
    config = Hist2STConfig(**SMALL)
    assert Hist2STConfig(**config.as_dict()) == config
