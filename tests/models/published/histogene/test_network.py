"""HisToGene against its published size and a plain forward pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax

from phg2st_sc.models.published._network import SpotInputs, SpotTargets
from phg2st_sc.models.published.histogene.network import HisToGeneConfig, HisToGeneNetwork

SMALL = {"n_genes": 3, "patch_px": 4, "n_positions": 5, "width": 8, "depth": 1, "heads": 2}


def slide(n: int = 7) -> SpotInputs:
    generator = torch.Generator().manual_seed(1)
    grid = torch.stack([torch.arange(n) % 3, torch.arange(n) // 3], dim=1)
    return SpotInputs(
        rows=torch.arange(n),
        positions=grid.float(),
        grid=grid,
        patches=torch.randint(256, (n, 3, 4, 4), generator=generator).to(torch.uint8),
        features=torch.randn(n, 6, generator=generator),
    )


def network(**changes) -> HisToGeneNetwork:
    torch.manual_seed(0)
    made = HisToGeneNetwork(HisToGeneConfig(**{**SMALL, **changes}))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # gains and biases that are not their defaults
    return made.eval()


def test_the_published_size():
    with torch.device("meta"):
        made = HisToGeneNetwork(HisToGeneConfig(n_genes=785))
    assert sum(p.numel() for p in made.parameters()) / 1e6 == pytest.approx(106.6, abs=0.05)
    assert sum(p.numel() for p in made.picture.parameters()) / 1e6 == pytest.approx(38.5, abs=0.05)
    assert sum(p.numel() for p in made.position.parameters()) == 2 * 64 * 1024


def norm(x, module):
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return scaled * module.weight.numpy() + module.bias.numpy()


def linear(x, module):
    y = x @ module.weight.numpy().T
    return y if module.bias is None else y + module.bias.numpy()


@torch.no_grad()
def test_a_forward_pass_is_the_written_formula():
    made, seen = network(), slide()
    pixels = seen.patches.numpy().reshape(7, -1) / 255.0
    grid = seen.grid.numpy()
    x = linear(pixels, made.picture)
    x = x + made.position.column.weight.numpy()[grid[:, 0]] + made.position.row.weight.numpy()[grid[:, 1]]
    block = made.blocks[0]
    normed = norm(x, block.norm1)
    q, k, v = (
        linear(normed, m).reshape(7, 2, 4) for m in (block.attention.query, block.attention.key, block.attention.value)
    )
    weights = softmax(np.einsum("ihd,jhd->hij", q, k) / 2.0, axis=-1)
    x = x + linear(np.einsum("hij,jhd->ihd", weights, v).reshape(7, 8), block.attention.out)
    hidden = linear(norm(x, block.norm2), block.mlp[0])
    x = x + linear(hidden * 0.5 * (1.0 + erf(hidden / np.sqrt(2.0))), block.mlp[3])
    expected = linear(norm(x, made.head[0]), made.head[1])
    np.testing.assert_allclose(made(seen).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_features", [None, 6])
@torch.no_grad()
def test_order_of_spots_and_choice_of_rows(n_features):
    made, seen = network(n_features=n_features, depth=2), slide()
    order = torch.tensor([4, 0, 6, 2, 1, 5, 3])
    moved = {name: getattr(seen, name)[order] for name in ("positions", "grid", "patches", "features")}
    result = made(seen)
    torch.testing.assert_close(made(replace(seen, **moved)), result[order])
    torch.testing.assert_close(made(replace(seen, rows=torch.tensor([5, 2]))), result[[5, 2]])
    assert torch.equal(made(seen), result)
    assert not torch.equal(made.train()(seen), result)


@torch.no_grad()
def test_every_spot_is_seen_and_places_beyond_the_table_are_known():
    made, seen = network(n_features=6), slide()
    features = seen.features.clone()
    features[6] += 3.0
    assert (made(replace(seen, features=features)) - made(seen)).abs().sum(1).gt(1e-6).all()
    far = replace(seen, grid=seen.grid * 100)
    assert torch.isfinite(made(far)).all()


def test_only_rows_are_in_the_loss():
    made = network(n_features=6, dropout=0.0)
    made.initialize(torch.tensor([1.0, 2.0, 3.0]))
    assert made.head[1].bias.tolist() == [1.0, 2.0, 3.0]
    seen = replace(slide(), rows=torch.tensor([1, 4]))
    targets = SpotTargets(torch.ones(2, 3), torch.ones(2, 3), torch.ones(2))
    torch.testing.assert_close(made.training_loss(seen, targets), (made(seen) - 1.0).square().mean())


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="features of width 4, and these have width 6"):
        network(n_features=4)(slide())
    with pytest.raises(ValueError, match="features of width 6, and there are none"):
        network(n_features=6)(replace(slide(), features=None))
    with pytest.raises(ValueError, match="made for pictures, and there are none"):
        network()(replace(slide(), patches=None))


def test_its_configuration_is_plain():
    config = HisToGeneConfig(**SMALL)
    assert HisToGeneConfig(**config.as_dict()) == config
