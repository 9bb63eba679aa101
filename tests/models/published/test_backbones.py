"""Image encoders inside networks: sizes, normalisation, pretrained weights."""

from __future__ import annotations

import pytest
import torch

from phg2st_sc.models import STNet
from phg2st_sc.models.published._pictures import RANDOM_ORIGIN, Backbone, pretrain
from phg2st_sc.models.published.bleep.network import BLEEPConfig, BLEEPNetwork
from phg2st_sc.models.published.stnet.network import STNetConfig, STNetwork


def n_parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        # DenseNet-121 has 7,978,856 parameters, 1,025,000 of them the classifier of 1000 classes
        (lambda: STNetwork(STNetConfig(n_genes=785)), 7_978_856 - 1_025_000 + 1024 * 785 + 785),
        # ResNet-50: 25,557,032, of them 2,049,000 the classifier; 24.4 M in all
        (lambda: BLEEPNetwork(BLEEPConfig(n_genes=785)), 25_557_032 - 2_049_000 + 590_848 + 267_520),
    ],
    ids=["stnet", "bleep"],
)
def test_published_sizes(timm, network, expected):
    with torch.device("meta"):
        assert n_parameters(network()) == expected


def test_pictures_are_brought_to_the_scale_of_the_pretraining(timm):
    backbone = Backbone("resnet18").eval()
    picture = torch.randint(256, (1, 3, 32, 32), dtype=torch.uint8)
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = backbone.net((picture.float() / 255 - mean) / std)
        torch.testing.assert_close(backbone(picture), expected, rtol=1e-4, atol=1e-5)
        assert Backbone("resnet18", pooled=False).eval()(picture).shape == (1, 512, 1, 1)


@pytest.fixture
def folder(timm, tmp_path):
    """A ResNet-18 with its classifier, as its repository holds it."""
    torch.manual_seed(3)
    model = timm.create_model("resnet18", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    return tmp_path, model


def test_weights_of_a_folder_are_loaded(folder):
    path, model = folder
    backbone = Backbone("resnet18")
    origin = pretrain(backbone, str(path), method="stnet")
    assert origin.startswith("pytorch_model.bin (sha256:")
    torch.testing.assert_close(backbone.net.conv1.weight, model.conv1.weight)


def test_weights_out_of_reach_are_said(timm, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    backbone = Backbone("resnet18")
    with pytest.warns(UserWarning, match=r"'resnet18' from random initialisation.*weights=\"<file or folder>\""):
        assert pretrain(backbone, "auto", method="stnet") == RANDOM_ORIGIN
    assert pretrain(backbone, "random", method="stnet") == RANDOM_ORIGIN
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        pretrain(backbone, str(tmp_path / "absent"), method="stnet")


def test_results_are_labeled_with_the_origin(timm):
    import phg2st_sc as phg2st

    slides = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=40, n_genes=12, progress=False)
    settings = {"network": {"backbone": "resnet18", "patch_px": 32}, "max_epochs": 1, "fine_tune": 0}
    model = phg2st.tl.train(slides, method="stnet", inputs="patches", weights="random", progress=False, **settings)
    assert model.card["backbone_weights"] == RANDOM_ORIGIN
    new = slides["P1_S1"]
    phg2st.pp.sample_prompts(new, fraction=0.2)
    with pytest.warns(UserWarning, match="trained on slide"):
        out = phg2st.tl.predict(new, model=model)
    assert out.uns["details"]["P1_S1"]["backbone_weights"] == RANDOM_ORIGIN


def test_without_timm_the_call_that_mends_it_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ImportError, match="needs timm: .pip install timm"):
        STNet(preset="paper").new_network(5, None)
