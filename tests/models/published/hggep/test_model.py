"""Method hggep: published settings, what it learns, and where the weights of its image encoder come from."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from phg2st_sc.models import SlideArrays, TrainingSlide
from phg2st_sc.models.published._views import ZINBHead
from phg2st_sc.models.published.hggep.model import HGGEP
from phg2st_sc.models.published.hggep.shufflenet import SHUFFLENET, ShuffleNetV2, load_torchvision

IMAGE_GENES = slice(8, 16)
TINY = {"width": 8, "heads": 2, "patch_px": 36, "edge_channels": 2, "hypergraph_width": 4, "n_views": 1}


# --- settings ---------------------------------------------------------------------------------------------------------
def test_the_published_settings():
    method = HGGEP(preset="paper")
    with torch.device("meta"):
        network = method.new_network(785, None)
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(116.4, abs=0.05)
    config = method.spot_config()
    assert (method.reads_patches, method.patch_size(network).edge_um, network.config.patch_px) == (True, 112.0, 112)
    assert (config.lr, config.optimizer, config.max_epochs, config.batch_size) == (1e-5, "adam", 500, None)


def test_the_default_is_small():
    network = HGGEP().new_network(785, 1024)
    assert sum(p.numel() for p in network.parameters()) < 2e6


# --- learning ---------------------------------------------------------------------------------------------------------
def test_what_the_image_says_is_learned(cohort, slide, draw, score):
    prompts = draw(slide, 30)
    model = HGGEP(max_epochs=12, fine_tune=0, network={"n_views": 1}).fit(cohort)
    assert score(model.predict(slide.arrays, prompts).mean, slide, prompts)[IMAGE_GENES].mean() > 0.9


def test_counts_start_at_their_mean():
    head = ZINBHead(4, 3)
    counts = torch.tensor([[300.0, 1.0, 0.0], [900.0, 3.0, 0.0]])
    head.initialize(counts, torch.tensor([0.5, 1.5]))
    torch.testing.assert_close(head.log_mean.bias.exp().detach(), torch.tensor([600.0, 2.0, 1e-3]))
    model = HGGEP(max_epochs=1, lr=1e-9, fine_tune=0)
    training = tiny_slide(0)
    model.fit([training])
    started = model._trained.network.counts.log_mean.bias.detach().exp().numpy()
    # the slide is the mean of its parts: some spots are left out to validate on
    np.testing.assert_allclose(started, training.counts.mean(axis=0), rtol=0.2)


class Pictures:
    """Each spot has one colour, that of its feature."""

    def __init__(self, values):
        self.values = values

    def read(self, rows, *, edge_um, size):
        return np.broadcast_to(self.values[rows][:, None, None, None], (len(rows), size, size, 3)).astype(np.uint8)


def tiny_slide(seed: int, n: int = 40, genes: int = 5) -> TrainingSlide:
    rng = np.random.default_rng(seed)
    positions = np.argwhere(np.ones((n // 5, 5))).astype(float)
    feature = rng.normal(size=n)
    rate = np.exp(np.outer(feature, np.linspace(-0.8, 0.8, genes)))
    counts = rng.poisson(1000 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    pictures = Pictures(np.clip(128 + 50 * feature, 0, 255))
    arrays = SlideArrays(f"s{seed}", positions, feature[:, None].astype(np.float32), {}, f"p{seed}", patches=pictures)
    return TrainingSlide(arrays, counts, counts.sum(axis=1).astype(float), tuple(f"g{i}" for i in range(genes)))


def test_pictures_are_learned_from_and_kept(tmp_path):
    model = HGGEP(inputs="patches", weights="random", network=TINY, max_epochs=2, fine_tune=2)
    model.fit([tiny_slide(0), tiny_slide(1)])
    assert model.record["backbone_weights"] == "random initialisation"
    new = tiny_slide(2)
    prompts = new.prompts(np.arange(0, 40, 4), target_sum=1e4)
    again = HGGEP.load(model.save(tmp_path / "model"))
    first, second = (m.adapt(new.arrays, prompts).predict(new.arrays, prompts) for m in (model, again))
    np.testing.assert_array_equal(first.mean, second.mean)
    assert np.isfinite(first.mean).all()
    assert first.details["fine_tuned"] == 2


@pytest.mark.parametrize("n", [2, 3])
def test_tiny_slides(n):
    model = HGGEP(max_epochs=2, fine_tune=2, network={"width": 16}).fit([tiny_slide(0)])
    new = tiny_slide(1)
    arrays = replace(new.arrays, positions=new.arrays.positions[:n], features=new.arrays.features[:n], patches=None)
    few = TrainingSlide(arrays, new.counts[:n], new.totals[:n], new.genes)
    prompts = few.prompts(np.arange(1), target_sum=1e4)
    assert np.isfinite(model.adapt(arrays, prompts).predict(arrays, prompts).mean).all()


# --- weights ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def published() -> dict[str, torch.Tensor]:
    """A state as torchvision publishes it, classes included, counters not."""
    torch.manual_seed(5)
    state = {k: v for k, v in ShuffleNetV2().state_dict().items() if not k.endswith("num_batches_tracked")}
    return {**state, "fc.weight": torch.zeros(1000, 1024), "fc.bias": torch.zeros(1000)}


@pytest.mark.parametrize("form", ["file", "folder", "safetensors"])
def test_weights_of_torchvision_load_from_disk(published, tmp_path, form):
    path = tmp_path / (SHUFFLENET.file if form != "safetensors" else "mine.safetensors")
    if form == "safetensors":
        save_file({k: v.contiguous() for k, v in published.items()}, path)
    else:
        torch.save(published, path)
    method = HGGEP(inputs="patches", weights=tmp_path if form == "folder" else path, network=TINY)
    network = method.new_network(3, None)
    origin = method._pretrain(network)
    assert origin == f"{path.name} (sha256:{sha256(path.read_bytes()).hexdigest()})"
    loaded = network.picture.backbone.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in published.items() if not name.startswith("fc."))


def test_what_is_not_there_or_of_another_network_is_refused(published, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"download.pytorch.org/models/shufflenetv2_x0.5"):
        load_torchvision(ShuffleNetV2(), SHUFFLENET, str(tmp_path))
    torch.save({**published, "conv5.0.weight": torch.zeros(2, 2)}, tmp_path / "model.pth")
    network = ShuffleNetV2()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"conv5.0.weight is \(2, 2\) instead of \(1024, 192, 1, 1\)"):
        load_torchvision(network, SHUFFLENET, str(tmp_path / "model.pth"))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_auto_looks_where_torch_keeps_downloads_and_says_when_there_is_nothing(published, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    reached = []

    def unreachable(url, *args, **kwargs):
        reached.append(url)
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    method = HGGEP(inputs="patches", network=TINY)
    with pytest.warns(UserWarning, match=r"random initialisation.*no route to host.*`weights="):
        assert method._pretrain(method.new_network(3, None)) == "random initialisation"
    assert reached == [SHUFFLENET.url]
    (tmp_path / "checkpoints").mkdir(exist_ok=True)
    torch.save(published, tmp_path / "checkpoints" / SHUFFLENET.file)
    assert method._pretrain(method.new_network(3, None)).startswith(SHUFFLENET.file)
    assert reached == [SHUFFLENET.url]
