"""TRIPLEX: its parts against plain numpy, and what its predictions may and may not depend on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from phg2st_sc.models.published._network import SpotInputs, SpotTargets
from phg2st_sc.models.published.triplex.network import TriplexConfig, TriplexNetwork
from phg2st_sc.models.published.triplex.positional_conv import PositionalConv, lattice_cells

SMALL = {
    "n_genes": 5,
    "n_features": 6,
    "width": 8,
    "fusion_heads": 2,
    "global_blocks": 2,
    "global_heads": 2,
    "neighbor_blocks": 2,
    "neighbor_heads": 2,
}
N_SPOTS = 12


def network(**changes):
    """A network whose every weight is drawn, those that start at zero or one too; in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = TriplexNetwork(TriplexConfig(**{**SMALL, **changes}))
        for parameter in made.parameters():
            parameter.data.normal_(0.0, 0.3)
    return made.eval()


def slide(seed=0, *, n=N_SPOTS, rows=None, width=6):
    rng = np.random.default_rng(seed)
    rows = np.arange(n) if rows is None else np.asarray(rows)
    grid = torch.from_numpy(np.stack([np.arange(n) % 4, np.arange(n) // 4], axis=1))
    mask = torch.from_numpy(rng.random((len(rows), 25)) < 0.7)
    return SpotInputs(
        rows=torch.from_numpy(rows),
        positions=grid.float(),
        grid=grid,
        features=torch.from_numpy(rng.normal(size=(n, width)).astype(np.float32)),
        context=torch.from_numpy(rng.normal(size=(len(rows), 25, width)).astype(np.float32)),
        context_mask=mask,
    )


def targets(r, genes=5, seed=1):
    y = torch.from_numpy(np.random.default_rng(seed).normal(size=(r, genes)).astype(np.float32))
    return SpotTargets(y, y.exp(), torch.ones(r))


# --- plain numpy ------------------------------------------------------------------------------------------------------
def weights(module):
    return {name: value.detach().double().numpy() for name, value in module.state_dict().items()}


def part(w, prefix):
    return {name.removeprefix(prefix): value for name, value in w.items() if name.startswith(prefix)}


def norm(w, name, x):
    centered = x - x.mean(-1, keepdims=True)
    return centered / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)


def gelu(x):
    return x * 0.5 * (1 + torch.erf(torch.from_numpy(x / np.sqrt(2))).numpy())


def attend(w, queries, keys, heads, bias=0.0):
    """(q, d) from (k, d), with (heads, q, k) bias."""
    q, k, v = (linear(w, f"attention.{n}", x) for n, x in (("query", queries), ("key", keys), ("value", keys)))
    size = q.shape[1] // heads
    out = np.zeros_like(q)
    for head in range(heads):
        here = slice(head * size, (head + 1) * size)
        logits = q[:, here] @ k[:, here].T / np.sqrt(size) + (bias[head] if np.ndim(bias) else bias)
        share = np.exp(logits - logits.max(axis=1, keepdims=True))
        out[:, here] = share / share.sum(axis=1, keepdims=True) @ v[:, here]
    return linear(w, "attention.out", out)


def mlp(w, x):
    return linear(w, "mlp.3", gelu(linear(w, "mlp.0", x)))


def block(w, x, heads, bias=0.0):
    normed = norm(w, "norm1", x)
    x = x + attend(w, normed, normed, heads, bias)
    return x + mlp(w, norm(w, "norm2", x))


def cross(w, query, keys, heads):
    query = query + attend(w, norm(w, "norm1", query), norm(w, "norm1", keys), heads)
    return query + mlp(w, norm(w, "norm2", query))


def apeg(weight, bias, x, grid):
    """Cell by cell, window by window."""
    out = x.copy()
    for i, here in enumerate(grid):
        total = bias.copy()
        for row in (-1, 0, 1):
            for column in (-1, 0, 1):
                there = (grid == here + np.array([column, row])).all(axis=1)
                if there.any():
                    total += weight[3 * (row + 1) + column + 1] * x[there].mean(axis=0)
        out[i] += total
    return out


def test_neighbor_branch_is_attention_biased_by_offset_and_masked():
    net, inputs = network(), slide()
    w = weights(net.neighbors)
    tokens, known = net.neighbors(inputs)
    row, column = np.divmod(np.arange(25), 5)
    offset = np.abs(row[:, None] - row) * 5 + np.abs(column[:, None] - column)
    for i in (0, 5):
        there = inputs.context_mask[i].numpy()
        bias = w["position_bias"][:, offset] + np.where(there, 0.0, -np.inf)
        x = linear(w, "project", inputs.context[i].double().numpy() * there[:, None])
        for number in range(2):
            x = block(part(w, f"blocks.{number}."), x, 2, bias)
        np.testing.assert_allclose(tokens[i].detach().numpy(), norm(w, "norm", x), atol=1e-4)
        np.testing.assert_array_equal(known[i].numpy(), there)


def test_global_branch_has_the_positional_convolution_after_its_first_block():
    net, inputs = network(), slide(rows=[7, 2])
    w = weights(net.slide)
    x = block(part(w, "blocks.0."), linear(w, "project", inputs.features.double().numpy()), 2)
    x = apeg(w["positional.weight"], w["positional.bias"], x, inputs.grid.numpy())
    expected = norm(w, "norm", block(part(w, "blocks.1."), x, 2))[[7, 2]]
    np.testing.assert_allclose(net.slide(inputs).detach().numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("blocks", [1, 2])
def test_fusion_asks_both_with_the_same_weights(blocks):
    fusion = network(fusion_blocks=blocks).fusion
    w = weights(fusion)
    rng = np.random.default_rng(3)
    query, spot, tiles = rng.normal(size=(2, 8)), rng.normal(size=(2, 4, 8)), rng.normal(size=(2, 25, 8))
    known = rng.random((2, 25)) < 0.5
    made = fusion(*(torch.from_numpy(a).float() for a in (query, spot, tiles)), torch.from_numpy(known))
    for i in range(2):
        asked = [query[i : i + 1], query[i : i + 1]]
        for number in range(blocks):
            keys = (spot[i], tiles[i][known[i]])
            asked = [cross(part(w, f"blocks.{number}."), q, k, 2) for q, k in zip(asked, keys, strict=True)]
        np.testing.assert_allclose(made[i].detach().numpy(), norm(w, "norm", asked[0] + asked[1])[0], atol=1e-4)


# --- positional convolution -------------------------------------------------------------------------------------------
def test_on_a_full_lattice_it_is_a_depthwise_convolution():
    conv = PositionalConv(4)
    column, row = np.meshgrid(np.arange(5), np.arange(3))
    order = np.random.default_rng(0).permutation(15)
    grid = torch.from_numpy(np.stack([column.ravel(), row.ravel()], axis=1)[order])
    x = torch.randn(15, 4, generator=torch.Generator().manual_seed(0))
    image = torch.zeros(15, 4)
    image[torch.from_numpy(order)] = x
    kernel = conv.weight.T.reshape(4, 1, 3, 3)
    mixed = conv2d(image.T.reshape(1, 4, 3, 5), kernel, conv.bias, padding=1, groups=4)
    expected = x + mixed.reshape(4, 15).T[torch.from_numpy(order)]
    torch.testing.assert_close(conv(x, *lattice_cells(grid)), expected)


def test_irregular_and_shared_cells_and_slides_of_any_size():
    """The same layer on slide after slide: nothing of the first is kept."""
    conv = PositionalConv(3)
    w, bias = conv.weight.detach().double().numpy(), conv.bias.detach().double().numpy()
    rng = np.random.default_rng(1)
    for n, span in ((6, 3), (40, 7), (25, 1000), (1, 1)):
        grid = rng.integers(0, span, size=(n, 2)) + (0, 1_000_000)
        grid[: n // 2] = grid[n - n // 2 :] + (1, 0)
        grid[-1] = grid[0] + (0, 1)
        x = rng.normal(size=(n, 3))
        made = conv(torch.from_numpy(x).float(), *lattice_cells(torch.from_numpy(grid)))
        np.testing.assert_allclose(made.detach().numpy(), apeg(w, bias, x, grid), atol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_windows_hold_the_six_neighbors_of_a_hexagonal_lattice(turned):
    grid = np.array([[c, r] for r in range(6) for c in range(r % 2, 12, 2)])
    place = grid * (0.5, np.sqrt(3) / 2)
    distance = np.linalg.norm(place[:, None] - place, axis=-1)
    cells, windows = lattice_cells(torch.from_numpy(grid[:, ::-1].copy() if turned else grid))
    assert len(windows) == len(grid)
    for i in range(len(grid)):
        seen = set(windows[cells[i]].tolist()) - {len(grid)}
        assert set(cells[np.flatnonzero(distance[i] < 1.1)].tolist()) <= seen


# --- the network ------------------------------------------------------------------------------------------------------
def test_published_size(timm):
    with torch.device("meta"):
        whole = TriplexNetwork(TriplexConfig(n_genes=785, n_context=512))
    parts = {name: sum(p.numel() for p in module.parameters()) for name, module in whole.named_children()}
    assert sum(parts.values()) / 1e6 == pytest.approx(30.4, abs=0.05)
    assert parts["heads"] == 4 * (512 * 785 + 785)
    attention, around = 4 * 512**2 + 512, 4 * 512  # and the two norms
    assert parts["fusion"] == attention + around + 8 * 512**2 + 5 * 512 + 2 * 512
    assert parts["slide"] == 3 * (attention + around + 8 * 512**2 + 5 * 512) + 10 * 512 + 2 * 512
    assert parts["neighbors"] == 3 * (attention + around + 2 * 512**2 + 2 * 512) + 16 * 25 + 2 * 512


def test_loss_pulls_branches_to_truth_and_to_the_joint_prediction():
    net, inputs, known = network(), slide(), targets(N_SPOTS)
    out, y = net.outputs(inputs), known.expression
    assert len(out.branches) == 3
    expected = (out.joint - y).square().mean()
    for branch in out.branches:
        expected = expected + 0.7 * (branch - y).square().mean() + 0.3 * (branch - out.joint).square().mean()
    torch.testing.assert_close(net.training_loss(inputs, known), expected)
    torch.testing.assert_close(net(inputs), out.joint)


@pytest.mark.parametrize("neighbors", [True, False])
def test_every_weight_learns(neighbors):
    net = network(neighbors=neighbors).train()
    net.training_loss(slide(), targets(N_SPOTS)).backward()
    for name, parameter in net.named_parameters():
        if not neighbors and name.startswith(("fusion.blocks.0.attention.query", "fusion.blocks.0.attention.key")):
            continue  # of a single token there is nothing to choose
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_negative_predictions_learn_too():
    """Clamped at zero before the loss, they would have no gradient."""
    net = network()
    net.initialize(torch.full((5,), -3.0))
    assert (net(slide()) < 0).all()
    net.training_loss(slide(), targets(N_SPOTS)).backward()
    assert net.heads["joint"].bias.grad.abs().min() > 0


def test_starts_at_the_mean_expression():
    net, mean = network(), torch.arange(5.0)
    before = net(slide()).std(dim=0).mean()
    net.initialize(mean)
    assert (net(slide()) - mean).abs().max() < 1.5
    assert net(slide()).std(dim=0).mean() < 0.2 * before


def test_nothing_is_random_in_evaluation():
    net = network()
    torch.testing.assert_close(net(slide()), net(slide()), rtol=0, atol=0)
    net.train()
    assert not torch.equal(net(slide()), net(slide()))
    net.eval()
    assert not any(module.training for module in net.modules())
    torch.testing.assert_close(net(slide()), net(slide()), rtol=0, atol=0)


def test_order_of_spots_plays_no_role():
    net, inputs = network(), slide()
    order = torch.from_numpy(np.random.default_rng(5).permutation(N_SPOTS))
    turned = replace(
        inputs,
        positions=inputs.positions[order],
        grid=inputs.grid[order],
        features=inputs.features[order],
        context=inputs.context[order],
        context_mask=inputs.context_mask[order],
    )
    torch.testing.assert_close(net(turned), net(inputs)[order], rtol=1e-4, atol=1e-5)


def test_rows_alone_are_predicted_as_among_all():
    net, inputs = network(), slide()
    rows = torch.tensor([8, 1, 3])
    some = replace(inputs, rows=rows, context=inputs.context[rows], context_mask=inputs.context_mask[rows])
    torch.testing.assert_close(net(some), net(inputs)[rows], rtol=1e-4, atol=1e-5)


def test_all_spots_are_looked_at_and_only_own_tiles():
    net, inputs = network(), slide()
    other = inputs.features.clone()
    other[11] += 3.0
    assert ((net(replace(inputs, features=other)) - net(inputs)).abs().amax(dim=1) > 1e-4).all()
    context = torch.where(inputs.context_mask[..., None], inputs.context + 1.0, inputs.context)
    context[1:] = inputs.context[1:]
    moved = (net(replace(inputs, context=context)) - net(inputs)).abs().amax(dim=1)
    assert moved[0] > 1e-3
    assert moved[1:].max() == 0


def test_tiles_that_are_not_there_do_not_matter():
    net, inputs = network(), slide()
    mask = inputs.context_mask.clone()
    mask[3] = False
    inputs = replace(inputs, context_mask=mask)
    noise = torch.where(mask[..., None], inputs.context, torch.full_like(inputs.context, float("nan")))
    out = net.outputs(replace(inputs, context=noise))
    for made, expected in zip([out.joint, *out.branches], [net(inputs), *net.outputs(inputs).branches], strict=True):
        assert torch.isfinite(made).all()
        torch.testing.assert_close(made, expected, rtol=0, atol=0)


def test_graphs_of_a_slide_may_be_made_before():
    net, inputs = network(), slide()
    graphs = TriplexNetwork.slide_graphs(inputs.positions, inputs.grid)
    torch.testing.assert_close(net(replace(inputs, graphs=graphs)), net(inputs), rtol=0, atol=0)


def test_without_tiles_the_call_that_mends_it_is_named():
    blind = replace(slide(), context=None, context_mask=None)
    with pytest.raises(ValueError, match=r"extract_embeddings\(data, context=5\).*\"neighbors\": False"):
        network()(blind)
    assert torch.isfinite(network(neighbors=False)(blind)).all()
    with pytest.raises(ValueError, match="25 tiles around a spot, and TRIPLEX takes 9"):
        network(context_side=3)(slide())
    with pytest.raises(ValueError, match="made for features of width 6, and there are none"):
        network()(replace(slide(), features=None))


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="width=8 must be a multiple of global_heads=3"):
        TriplexConfig(**{**SMALL, "global_heads": 3})
    with pytest.raises(ValueError, match="global_blocks=0"):
        TriplexConfig(**{**SMALL, "global_blocks": 0})
    with pytest.raises(ValueError, match="n_context=None"):
        TriplexConfig(n_genes=3)
    config = TriplexConfig(**SMALL)
    assert TriplexConfig(**config.as_dict()) == config


def test_pictures_are_looked_at_by_the_target_branch(timm):
    net = network(n_features=None, n_context=6, patch_px=64)
    pixels = np.random.default_rng(2).integers(0, 256, size=(3, 3, 64, 64), dtype=np.uint8)
    inputs = replace(slide(rows=[0, 4, 9]), patches=torch.from_numpy(pixels))
    assert net.target(inputs).shape == (3, 4, 8)
    other = replace(inputs, patches=255 - inputs.patches)
    assert not torch.allclose(net(other), net(inputs))
    net.train().training_loss(inputs, targets(3)).backward()
    assert all(p.grad.abs().sum() > 0 for p in net.target.parameters())
    with pytest.raises(ValueError, match="made for pictures"):
        net(replace(inputs, patches=None))
