"""Tiny networks laid out like those on the hub."""

from __future__ import annotations

import json

import numpy as np
import pytest


@pytest.fixture(scope="session")
def tiny(timm):
    """A vision transformer of UNI's kind, 32 wide and two blocks deep."""
    from phg2st_sc.encoders import EncoderCard
    from phg2st_sc.encoders._timm import Recipe

    card = EncoderCard(
        "tiny",
        dim=32,
        input_px=224,
        tile_um=112.0,
        license="none",
        needs_weights=True,
        gated=True,
        revision="main",
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        source="https://huggingface.co/someone/tiny",
    )
    arguments = {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": True}
    size = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 32}
    return Recipe(card, "someone/tiny", "vit_tiny_patch16_224", {**arguments, **size})


@pytest.fixture(scope="session")
def tiny_model(timm, tiny):
    """The network with random weights that are no initialisation: nothing in it is zero or one."""
    import torch

    from phg2st_sc.encoders._timm import build

    model = build(timm, tiny).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
    return model


@pytest.fixture(scope="session")
def hub_folder(tiny_model, tmp_path_factory):
    """Weights and configuration as `hf download` lays them out."""
    import torch

    folder = tmp_path_factory.mktemp("tiny")
    torch.save(tiny_model.state_dict(), folder / "pytorch_model.bin")
    config = {"architecture": "vit_tiny_patch16_224", "num_classes": 0, "num_features": 32}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-nd-4.0\n---\n")
    return folder


@pytest.fixture
def tiles(rng):
    """Five tiles of colours and gradients that differ plainly."""
    colors, slopes = rng.uniform(40, 215, (5, 1, 1, 3)), rng.uniform(-90, 90, (5, 1, 1, 3))
    ramp = np.linspace(-0.5, 0.5, 224)[None, :, None, None]
    noisy = colors + slopes * ramp + rng.normal(0, 10, (5, 224, 224, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8)
