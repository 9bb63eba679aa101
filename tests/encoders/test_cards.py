"""Every card: small networks of the published kind, in folders laid out like the hub's, against a forward written by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.encoders import get_encoder, list_encoders
from phg2st_sc.encoders._conch import CONCH, CONCH_1_5, image_tower, image_tower_v1_5
from phg2st_sc.encoders._pathology import (
    DINOV2,
    GIGAPATH,
    H_OPTIMUS_0,
    H_OPTIMUS_1,
    MIDNIGHT,
    PHIKON_V2,
    RECIPES,
    RESNET50,
    UNI,
    UNI2,
    VIRCHOW2,
)
from phg2st_sc.encoders._timm import build, open_recipe, trunk_of

torch = pytest.importorskip("torch")
from vit_by_hand import attended_by_hand, tokens_by_hand  # noqa: E402

MILLIONS = {
    "uni": 303.35,
    "uni2": 681.39,
    "virchow2": 631.24,
    "h-optimus-0": 1134.77,
    "h-optimus-1": 1134.77,
    "midnight-12k": 1134.77,
    "gigapath": 1134.95,
    "conch": 86.25 + 1.32,
    "conch-1.5": 303.95 + 2.77,
    "phikon-v2": 303.35,
    "dinov2": 303.23,
    "resnet50": 23.51,
}
SWIGLU = (UNI2, VIRCHOW2, H_OPTIMUS_0, H_OPTIMUS_1, MIDNIGHT, GIGAPATH)
TRANSFORMERS = (UNI, *SWIGLU, PHIKON_V2, DINOV2)


def test_facts_that_the_makers_publish():
    cards = {card.name: card for card in list_encoders()}
    assert {name: cards[name].dim for name in MILLIONS} == {
        "uni": 1024,
        "uni2": 1536,
        "virchow2": 2560,
        "h-optimus-0": 1536,
        "h-optimus-1": 1536,
        "midnight-12k": 3072,
        "gigapath": 1536,
        "conch": 512,
        "conch-1.5": 768,
        "phikon-v2": 1024,
        "dinov2": 1024,
        "resnet50": 2048,
    }
    assert {name for name in MILLIONS if not cards[name].gated} == {"midnight-12k", "phikon-v2", "dinov2", "resnet50"}
    assert cards["uni"].license == cards["virchow2"].license == cards["h-optimus-1"].license == "CC-BY-NC-ND-4.0"
    assert cards["h-optimus-0"].mean == cards["h-optimus-1"].mean == (0.707223, 0.578729, 0.703617)
    assert cards["conch"].mean[0] == 0.48145466
    assert (cards["virchow2"].token_dim, cards["midnight-12k"].token_dim, cards["conch"].token_dim) == (1280, 1536, 768)
    for recipe in RECIPES:
        card = recipe.card
        assert card.source == f"https://huggingface.co/{recipe.repo}"
        assert card.needs_weights
        assert card.pooling
        assert card.reference.startswith("https://")
        if recipe in (CONCH, CONCH_1_5):
            assert (card.input_px, card.tile_um, card.patch_px) == (448, 256.0, 16)
        else:
            assert (card.input_px, card.tile_um, card.mpp) == (224, 112.0, 0.5)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.card.name)
def test_recipes_have_the_published_size(timm, recipe):
    with torch.device("meta"):
        model = build(timm, recipe)
    found = sum(p.numel() for p in model.parameters()) / 1e6
    assert found == pytest.approx(MILLIONS[recipe.card.name], abs=0.01)
    trunk = trunk_of(model)
    if recipe.card.patch_px:
        assert trunk.patch_embed.patch_size == (recipe.card.patch_px,) * 2
        assert trunk.num_features == recipe.card.token_dim
    if recipe.around is None:
        assert trunk.num_features * (2 if recipe.features == "token+mean" else 1) == recipe.card.dim


def _small(recipe, **more):
    """The recipe of a network of the same kind that is 48 wide and two blocks deep, on patches of 56 px."""
    arguments = {**recipe.arguments, "embed_dim": 48, "depth": 2, "num_heads": 3, "patch_size": 56, **more}
    dim = 96 if recipe.features == "token+mean" else 48
    return replace(recipe, arguments=arguments, card=replace(recipe.card, dim=dim, patch_px=56, token_dim=48))


def _filled(model):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.parameters():
            value.copy_(torch.randn(value.shape, generator=generator) * 0.3)
    return model.eval()


def _batch(tiles, card):
    return torch.tensor(((tiles / 255.0 - card.mean) / card.std).transpose(0, 3, 1, 2), dtype=torch.float32)


@pytest.mark.parametrize("recipe", TRANSFORMERS, ids=lambda recipe: recipe.card.name)
def test_features_agree_with_a_forward_by_hand(timm, recipe, tmp_path, tiles):
    small = _small(recipe)
    state = _filled(build(timm, small)).state_dict()
    torch.save(state, tmp_path / "pytorch_model.bin")
    encoder = open_recipe(small, weights=tmp_path, device="cpu")
    registers = state["reg_token"].shape[1] if "reg_token" in state else 0
    assert registers == {"uni2": 8, "virchow2": 4, "h-optimus-0": 4, "h-optimus-1": 4}.get(recipe.card.name, 0)
    batch = _batch(tiles, small.card)
    tokens = tokens_by_hand(state, batch, heads=3, patch=56, registers=registers, swiglu=recipe in SWIGLU)
    patches = tokens[:, 1 + registers :]
    assert patches.shape[1] == 16
    expected = torch.cat([tokens[:, 0], patches.mean(1)], 1) if recipe.features == "token+mean" else tokens[:, 0]
    np.testing.assert_allclose(encoder(tiles), expected, rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(encoder.tokens(tiles), patches.reshape(5, 4, 4, 48), rtol=2e-4, atol=2e-4)
    assert encoder.tokens(tiles[:0]).shape == (0, 4, 4, 48)


def test_phikon_is_read_in_the_naming_of_transformers(timm, tmp_path, tiles):
    from safetensors.torch import save_file

    small = _small(PHIKON_V2)
    state = _filled(build(timm, small)).state_dict()
    save_file(_as_dinov2_model(state), tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "timm.pt")
    ours = open_recipe(small, weights=tmp_path / "timm.pt", device="cpu")(tiles)
    np.testing.assert_array_equal(open_recipe(small, weights=tmp_path / "model.safetensors", device="cpu")(tiles), ours)


def _as_dinov2_model(state):
    """Weights under the names that `transformers` gives them in a `Dinov2Model`."""
    plain = {
        "cls_token": "embeddings.cls_token",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj.weight": "embeddings.patch_embeddings.projection.weight",
        "patch_embed.proj.bias": "embeddings.patch_embeddings.projection.bias",
        "norm.weight": "layernorm.weight",
        "norm.bias": "layernorm.bias",
    }
    out = {plain[name]: value for name, value in state.items() if name in plain}
    out["embeddings.mask_token"] = torch.zeros(1, 48)
    for name, value in state.items():
        if not name.startswith("blocks."):
            continue
        _, layer, rest = name.split(".", 2)
        start = f"encoder.layer.{layer}."
        if rest.startswith("attn.qkv."):
            for part, one in zip(("query", "key", "value"), value.chunk(3), strict=True):
                out[f"{start}attention.attention.{part}.{rest.rsplit('.', 1)[1]}"] = one.clone()
            continue
        rest = rest.replace("attn.proj", "attention.output.dense")
        rest = rest.replace("ls1.gamma", "layer_scale1.lambda1").replace("ls2.gamma", "layer_scale2.lambda1")
        out[start + rest] = value
    return out


@pytest.mark.parametrize(("recipe", "tower"), [(CONCH, image_tower), (CONCH_1_5, image_tower_v1_5)])
def test_conch_pools_by_attention(timm, recipe, tower, tmp_path, rng):
    sides = {"embed_dim": 48, "depth": 2, "num_heads": 3, "patch_size": 64}
    small = replace(
        recipe,
        arguments={**recipe.arguments, **sides},
        around=lambda trunk: tower(trunk, dim=16),
        card=replace(recipe.card, dim=16, patch_px=64, token_dim=48),
    )
    state = _filled(build(timm, small)).state_dict()
    if recipe is CONCH:  # the whole of the published file: text tower, projection and captions beside the image tower
        kept = {f"visual.{name}": value for name, value in state.items()}
        others = {"visual.proj_contrast": torch.zeros(16, 16), "text.ln_final.bias": torch.zeros(8)}
        torch.save({**kept, **others, "logit_scale": torch.tensor(1.0)}, tmp_path / "pytorch_model.bin")
    else:
        torch.save(state, tmp_path / "pytorch_model_vision.bin")
    encoder = open_recipe(small, weights=tmp_path, device="cpu")
    tiles = rng.integers(0, 256, (3, 448, 448, 3), dtype=np.uint8)
    trunk = {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}
    tokens = tokens_by_hand(trunk, _batch(tiles, small.card), heads=3, patch=64)
    np.testing.assert_allclose(encoder(tiles), attended_by_hand(state, tokens), rtol=2e-4, atol=2e-4)
    np.testing.assert_allclose(encoder.tokens(tiles), tokens[:, 1:].reshape(3, 7, 7, 48), rtol=2e-4, atol=2e-4)


def test_resnet_by_its_own_name(timm, tmp_path, tiles):
    model = timm.create_model("resnet50", pretrained=False).eval()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    encoder = get_encoder("resnet50", weights=tmp_path, device="cpu")
    batch = _batch(tiles[:1], RESNET50.card)
    with torch.no_grad():
        expected = model.forward_features(batch).mean(dim=(2, 3))
    np.testing.assert_allclose(encoder(tiles[:1]), expected, rtol=1e-3, atol=1e-5)
    with pytest.raises(ValueError, match="'resnet50' has no features of the patches of a tile"):
        encoder.tokens(tiles[:1])
