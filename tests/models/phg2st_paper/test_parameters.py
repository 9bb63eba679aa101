"""Parameter counts of the published sizes, part by part, against the published code's (785 genes, features of 1024).

The published code counts 133.1 M: context transformer 50.4, spot transformer 63.0, fusion 12.6, prompt 1.86, each of two
hypergraph networks 1.05, each of four heads 0.80. The paper describes three heads and no positional convolution.
"""

from __future__ import annotations

import pytest
import torch

from phg2st_sc.models.phg2st_paper.network import PHG2STNetwork
from phg2st_sc.nn import NetworkConfig

G, D = 785, 1024
HEAD = D * G + G
POSITIONAL = 9 * D + D
STAND_IN = D  # learned token for a missing image, one per branch; not in the published code
FUSED_NORM = 2 * D  # the published code normalises the sum of two cross-attentions; the paper sums only


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def networks() -> dict[str, PHG2STNetwork]:
    with torch.device("meta"):
        return {
            name: PHG2STNetwork(NetworkConfig.preset(name, n_features=D, n_genes=G)) for name in ("paper", "released")
        }


@pytest.mark.parametrize("name", ["paper", "released"])
def test_parts_have_the_published_sizes(networks, name):
    network = networks[name]
    millions = {
        "context transformer": count(network.context.blocks)
        + count(network.context.norm)
        + network.context.position_bias.numel(),
        "spot transformer": count(network.spots.blocks) + count(network.spots.norm),
        "fusion": count(network.fusion),
        "prompt": count(network.prompt),
        "spot hypergraph": count(network.spots.hypergraph),
        "context hypergraph": count(network.context.hypergraph),
        "head": count(network.head),
    }
    published = [50.4, 63.0, 12.6, 1.86, 1.05, 1.05, 0.80]
    for (part, found), wanted in zip(millions.items(), published, strict=True):
        assert found / 1e6 == pytest.approx(wanted, abs=0.05 if wanted > 5 else 0.005), part


def test_the_released_preset_has_the_published_total(networks):
    total = count(networks["released"]) - 2 * STAND_IN + FUSED_NORM
    assert total / 1e6 == pytest.approx(133.1, abs=0.05)


def test_the_paper_preset_lacks_one_head_and_the_positional_convolution(networks):
    assert count(networks["released"]) - count(networks["paper"]) == HEAD + POSITIONAL
    assert count(networks["paper"]) / 1e6 == pytest.approx(132.3, abs=0.05)


def test_features_of_the_token_width_are_not_projected(networks):
    assert isinstance(networks["paper"].spots.input.project, torch.nn.Identity)
    narrow = PHG2STNetwork(NetworkConfig(n_features=40, n_genes=5, width=16))
    assert count(narrow.spots.input.project) == 40 * 16 + 16


def test_the_default_is_small():
    assert count(PHG2STNetwork(NetworkConfig(n_features=1024, n_genes=1000))) < 1.5e6
