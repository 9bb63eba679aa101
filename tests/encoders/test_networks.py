"""Networks with random weights in a folder laid out like the hub's: the same features as timm's own, from every source."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc.encoders import get_encoder
from phg2st_sc.encoders._dinov2 import from_transformers
from phg2st_sc.encoders._pathology import MIDNIGHT, UNI
from phg2st_sc.encoders._timm import build, open_recipe

torch = pytest.importorskip("torch")


def _expected(model, tiles):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    batch = torch.tensor(((tiles / 255.0 - mean) / std).transpose(0, 3, 1, 2), dtype=torch.float32)
    with torch.no_grad():
        return model.forward_features(batch)


@pytest.fixture
def encoder(tiny, hub_folder):
    return open_recipe(tiny, weights=hub_folder, device="cpu")


def test_class_token_of_normalized_pixels(encoder, tiny_model, tiles):
    features = encoder(tiles)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, _expected(tiny_model, tiles)[:, 0], rtol=1e-4, atol=1e-5)
    assert features.std(axis=0).min() > 1e-3


def test_class_token_and_mean_of_patches(tiny, tiny_model, hub_folder, tiles):
    both = replace(tiny, features="token+mean", card=replace(tiny.card, dim=64))
    tokens = _expected(tiny_model, tiles)
    expected = torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1)
    assert tokens.shape[1] == 1 + 49
    found = open_recipe(both, weights=hub_folder, device="cpu")(tiles)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_tile_does_not_see_its_batch(encoder, tiles, rng):
    many = np.concatenate([tiles] * 9)
    together = encoder(many)
    np.testing.assert_array_equal(encoder(many), together)
    one_by_one = np.vstack([encoder(tile[None]) for tile in tiles])
    np.testing.assert_allclose(np.tile(one_by_one, (9, 1)), together, rtol=1e-4, atol=1e-5)
    order = rng.permutation(5)
    np.testing.assert_allclose(encoder(tiles[order]), one_by_one[order], rtol=1e-4, atol=1e-5)
    assert encoder(tiles[:0]).shape == (0, 32)


def test_large_batches_pass_in_parts(encoder, tiles):
    seen = []
    forward = encoder._forward
    encoder._forward = lambda batch: seen.append(len(batch)) or forward(batch)
    encoder(np.concatenate([tiles] * 9))
    assert sum(seen) == 45
    assert max(seen) <= 16


def test_as_many_tiles_at_once_as_asked_for(encoder, tiny, hub_folder, tiles):
    fewer = open_recipe(tiny, weights=hub_folder, device="cpu", batch_size=2)
    seen, forward = [], fewer._forward
    fewer._forward = lambda batch: seen.append(len(batch)) or forward(batch)
    np.testing.assert_allclose(fewer(tiles), encoder(tiles), rtol=1e-4, atol=1e-5)
    assert seen == [2, 2, 1]
    for wrong in (0, 1.5, True):
        with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1"):
            get_encoder("uni", batch_size=wrong)


def test_compiled_only_where_asked_for(encoder, tiny, hub_folder, tiles, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda forward: compiled.append(forward) or forward)
    open_recipe(tiny, weights=hub_folder, device="cpu")
    assert not compiled
    other = open_recipe(tiny, weights=hub_folder, device="cpu", compiled=True)
    assert len(compiled) == 1
    np.testing.assert_array_equal(other(tiles), encoder(tiles))


def test_short_memory_halves_what_goes_at_once(encoder, tiles):
    forward, expected = encoder._forward, encoder(tiles)

    def short(batch):
        if len(batch) > 2:
            raise torch.OutOfMemoryError("short")
        return forward(batch)

    encoder._forward = short
    np.testing.assert_allclose(encoder(tiles), expected, rtol=1e-4, atol=1e-5)


def test_other_tiles_are_refused(encoder, tiles):
    with pytest.raises(ValueError, match=r"takes \(b, 224, 224, 3\) uint8 tiles, got \(5, 64, 64, 3\) uint8"):
        encoder(tiles[:, :64, :64])
    with pytest.raises(ValueError, match="float64"):
        encoder(tiles / 255.0)


def test_lower_precision_is_close_and_recorded(encoder, tiny, hub_folder, tiles):
    lower = open_recipe(tiny, weights=hub_folder, device="cpu", precision="bfloat16")
    assert (encoder.card.precision, lower.card.precision) == ("float32", "bfloat16")
    exact, rough = encoder(tiles), lower(tiles)
    assert rough.dtype == np.float32
    assert 0 < np.abs(rough - exact).max() < 0.1 * exact.std()
    with pytest.raises(ValueError, match="'float32', 'bfloat16', 'float16', got 'half'"):
        open_recipe(tiny, weights=hub_folder, precision="half")


def test_unknown_device(tiny, hub_folder):
    with pytest.raises(ValueError, match="`device='abacus'` cannot be used here"):
        open_recipe(tiny, weights=hub_folder, device="abacus")


def test_folder_file_and_safetensors_agree(encoder, tiny, tiny_model, hub_folder, tiles, tmp_path):
    from safetensors.torch import save_file

    save_file(tiny_model.state_dict(), tmp_path / "model.safetensors")
    expected = encoder(tiles)
    for source in (hub_folder / "pytorch_model.bin", str(hub_folder), tmp_path, tmp_path / "model.safetensors"):
        np.testing.assert_array_equal(open_recipe(tiny, weights=source, device="cpu")(tiles), expected)


def test_revision_is_the_hash_of_the_weights(encoder, hub_folder):
    content = (hub_folder / "pytorch_model.bin").read_bytes()
    assert encoder.card.revision == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert encoder.card.weights == "pytorch_model.bin"


def test_position_embeddings_of_another_image_size_fit(tiny, tiny_model, timm, tmp_path, tiles):
    larger = build(timm, replace(tiny, arguments={**tiny.arguments, "img_size": 448}))
    torch.save({"state_dict": {**larger.state_dict(), "head.weight": torch.zeros(3, 32)}}, tmp_path / "weights.pth")
    assert open_recipe(tiny, weights=tmp_path, device="cpu")(tiles).shape == (5, 32)


def test_weights_of_another_network(tiny, hub_folder):
    with pytest.raises(
        ValueError, match=r"does not hold the weights of 'uni': .*is \(.*\) instead of \(.*and \d+ more"
    ):
        _open_as_uni(tiny, hub_folder)
    wider = replace(tiny, arguments={**tiny.arguments, "depth": 3})
    with pytest.raises(ValueError, match=r"blocks\.2\.norm1\.weight is missing.*Expected those of https://huggingface"):
        open_recipe(wider, weights=hub_folder)
    shallower = replace(tiny, arguments={**tiny.arguments, "depth": 1})
    with pytest.raises(ValueError, match=r"blocks\.1\.norm1\.weight is unknown"):
        open_recipe(shallower, weights=hub_folder)


def _open_as_uni(tiny, folder):
    """UNI's card on a network that is quick to build."""
    arguments = {**tiny.arguments, "embed_dim": 64}
    open_recipe(replace(UNI, architecture=tiny.architecture, arguments=arguments), weights=folder)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_broken_files(tiny, name, tmp_path):
    (tmp_path / name).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match="cannot be read as weights"):
        open_recipe(tiny, weights=tmp_path)


def test_file_without_tensors(tiny, tmp_path):
    torch.save({"epoch": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="holds no tensors by name"):
        open_recipe(tiny, weights=tmp_path)


def test_nothing_there(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        open_recipe(tiny, weights=tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(FileNotFoundError, match=r"it holds notes\.txt.*hf download someone/tiny --local-dir"):
        open_recipe(tiny, weights=tmp_path)


def _transformers_state(width, depth, generator):
    """Names of a `Dinov2Model`, as its source lists them."""
    shapes = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, 50, width),
        "embeddings.patch_embeddings.projection.weight": (width, 3, 32, 32),
        "embeddings.patch_embeddings.projection.bias": (width,),
        "layernorm.weight": (width,),
        "layernorm.bias": (width,),
    }
    for i in range(depth):
        layer = f"encoder.layer.{i}."
        for part in ("attention.attention.query", "attention.attention.key", "attention.attention.value"):
            shapes |= {f"{layer}{part}.weight": (width, width), f"{layer}{part}.bias": (width,)}
        shapes |= {
            f"{layer}attention.output.dense.weight": (width, width),
            f"{layer}attention.output.dense.bias": (width,),
        }
        for norm in ("norm1", "norm2"):
            shapes |= {f"{layer}{norm}.weight": (width,), f"{layer}{norm}.bias": (width,)}
        shapes |= {f"{layer}layer_scale{k}.lambda1": (width,) for k in (1, 2)}
        hidden = int(width * 2.66667 * 2)
        shapes |= {f"{layer}mlp.weights_in.weight": (hidden, width), f"{layer}mlp.weights_in.bias": (hidden,)}
        shapes |= {f"{layer}mlp.weights_out.weight": (width, hidden // 2), f"{layer}mlp.weights_out.bias": (width,)}
    return {name: torch.randn(shape, generator=generator) * 0.2 for name, shape in shapes.items()}


def test_midnight_weights_keep_their_meaning(timm, tiny, tmp_path, tiles):
    state = _transformers_state(32, 2, torch.Generator().manual_seed(1))
    renamed = from_transformers(state)
    qkv = renamed["blocks.1.attn.qkv.weight"]
    for k, part in enumerate(("query", "key", "value")):
        assert torch.equal(qkv[32 * k : 32 * (k + 1)], state[f"encoder.layer.1.attention.attention.{part}.weight"])
    assert from_transformers(renamed) == renamed
    torch.save(state, tmp_path / "pytorch_model.bin")
    arguments = {**tiny.arguments, "mlp_ratio": 2.66667 * 2, "mlp_layer": "SwiGLUPacked", "act_layer": "silu"}
    small = replace(MIDNIGHT, architecture=tiny.architecture, arguments=arguments)
    opened = open_recipe(small, weights=tmp_path, device="cpu")
    assert opened(tiles).shape == (5, 64)
    assert opened.card.transform.endswith("mean of the patch tokens")


@pytest.mark.parametrize(("name", "slot", "dim"), [("resnet18.a1_in1k", "resnet18.a1_in1k", 512)])
def test_any_model_of_timm(timm, name, slot, dim, tmp_path, rng):
    model = timm.create_model(name, pretrained=False)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    encoder = get_encoder(f"timm:{name}", weights=tmp_path, device="cpu")
    card, side = encoder.card, encoder.card.input_px
    assert (card.name, card.dim, card.mean) == (slot, dim, tuple(model.pretrained_cfg["mean"]))
    assert (card.license, card.source) == ("apache-2.0", f"https://huggingface.co/timm/{name}")
    tiles = rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    batch = torch.tensor((tiles / 255.0 - card.mean) / card.std, dtype=torch.float32).permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = model.eval().forward_head(model.forward_features(batch), pre_logits=True)
    np.testing.assert_allclose(encoder(tiles), expected, rtol=1e-4, atol=1e-5)


def test_models_that_timm_lacks(timm):
    with pytest.raises(ValueError, match=r"timm .* has no model 'resnet18.nope'.*Near it: resnet18"):
        get_encoder("timm:resnet18.nope")


def test_options_only_where_they_apply(tiny, hub_folder):
    with pytest.raises(ValueError, match="'texture' takes none of `weights`, `device`"):
        get_encoder("texture", weights=hub_folder, device="cpu")
    with pytest.raises(ValueError, match="opened by name"):
        get_encoder(len, device="cpu")


def test_opening_by_name_is_what_imports_torch():
    code = (
        "import sys, phg2st_sc as p; p.encoders.list_encoders();"
        "sys.exit(','.join({'torch', 'timm', 'huggingface_hub'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_uni_itself_in_random_weights(timm, tmp_path, tiles):
    torch.manual_seed(0)
    torch.save(build(timm, UNI).state_dict(), tmp_path / "pytorch_model.bin")
    encoder = get_encoder("uni", weights=tmp_path, device="cpu")
    features = encoder(tiles[:2])
    assert features.shape == (2, 1024)
    assert np.abs(features[0] - features[1]).max() > 1e-3
