"""What all published networks share: training, tuning, pictures, keeping. On a network of one hidden layer."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import phg2st_sc as phg2st
from phg2st_sc._arrays import Prompts, SlideArrays, TrainingSlide
from phg2st_sc.models import _registry
from phg2st_sc.models._hub import model_card
from phg2st_sc.models.published._method import NetworkMethod, Preset
from phg2st_sc.models.published._network import SpotNetwork
from phg2st_sc.models.published._slides import lattice_grid


@dataclass(frozen=True)
class Config:
    n_genes: int
    n_features: int | None
    patch_px: int = 8

    def as_dict(self):
        return asdict(self)


class Network(SpotNetwork):
    config_type = Config

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.head = nn.Linear(config.n_features or 3 * config.patch_px**2, config.n_genes)
        nn.init.zeros_(self.head.weight)

    def initialize(self, expression):
        with torch.no_grad():
            self.head.bias.copy_(expression)

    def forward(self, inputs):
        if self.config.n_features is None:
            return self.head(inputs.patches.flatten(1).float() / 255.0)
        return self.head(inputs.features[inputs.rows])

    def training_loss(self, inputs, targets):
        return (self(inputs) - targets.expression).square().mean()


class Mixing(Network):
    mixes_slides = True


class Tiny(NetworkMethod):
    name = "tiny"
    presets: ClassVar = {
        "default": Preset(training={"lr": 1e-2, "batch_size": 32, "max_epochs": 30}),
        "paper": Preset(inputs="patches", training={"lr": 1e-3, "batch_size": 32, "max_epochs": 5}, patch_um=100.0),
    }
    made = Network

    def _network_type(self):
        return self.made


class TinyMixing(Tiny):
    name = "tiny_mixing"
    made = Mixing


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(_registry.METHODS, "tiny", Tiny)
    monkeypatch.setitem(_registry.METHODS, "tiny_mixing", TinyMixing)


class Pictures:
    """Each spot has one colour, that of its feature."""

    def __init__(self, values):
        self.values, self.read_rows = values, []

    def read(self, rows, *, edge_um, size):
        self.read_rows += list(rows)
        return np.broadcast_to(self.values[rows][:, None, None, None], (len(rows), size, size, 3)).astype(np.uint8)

    def take(self, keep):
        return Pictures(self.values[keep])


def slide(name, *, n=80, genes=6, seed=0, image=True, patient=None):
    """Expression of each gene follows the first feature, up or down."""
    rng = np.random.default_rng(seed)
    positions = np.argwhere(np.ones((n // 8, 8))).astype(float)
    feature = rng.normal(size=n)
    slope = np.where(np.arange(genes) % 2, 0.8, -0.8)
    rate = np.exp(np.outer(feature, slope))
    counts = rng.poisson(200 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    features = np.column_stack([feature, rng.normal(size=(n, 2))]).astype(np.float32)
    color = np.clip(128 + 50 * feature, 0, 255)
    arrays = SlideArrays(
        name, positions, features if image else None, {}, patient, patches=Pictures(color) if image else None
    )
    return TrainingSlide(arrays, counts, counts.sum(axis=1).astype(float), tuple(f"g{i}" for i in range(genes)))


@pytest.fixture
def cohort():
    return [slide(f"s{i}", seed=i, patient=f"p{i}") for i in range(3)]


def prompts_of(one, n=10):
    return one.prompts(np.arange(0, one.arrays.n_spots, one.arrays.n_spots // n), target_sum=1e3)


def correlation(prediction, one):
    share = np.log1p(1e3 * one.counts / one.totals[:, None])
    return np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(prediction.mean.T, share.T, strict=True)])


@pytest.mark.parametrize("made", [Tiny, TinyMixing])
@pytest.mark.parametrize("inputs", ["features", "patches"])
def test_what_the_image_says_is_learned(made, inputs, cohort):
    new = slide("new", seed=9, patient="p9")
    # bright pictures of one colour: a linear layer on 192 equal inputs takes small steps
    model = made(inputs=inputs, lr=1e-2 if inputs == "features" else 3e-4).fit(cohort)
    assert correlation(model.predict(new.arrays, prompts_of(new)), new) > 0.6
    rate = np.expm1(model.predict(new.arrays, prompts_of(new)).mean) / 1e3
    np.testing.assert_allclose(rate.mean(axis=0), (new.counts / new.totals[:, None]).mean(axis=0), rtol=0.3)


def test_untrained_it_learns_from_the_prompts_alone():
    new = slide("new", seed=9)
    assert correlation(Tiny().predict(new.arrays, prompts_of(new, 20)), new) > 0.5


def test_tuning_moves_the_prediction_towards_the_slide(cohort):
    new = slide("new", seed=9, patient="p9")
    turned = TrainingSlide(new.arrays, new.counts[:, ::-1].copy(), new.totals, new.genes)  # genes go the other way
    model = Tiny(fine_tune=60, fine_tune_lr=1e-2).fit(cohort)
    prompts = prompts_of(turned, 20)
    before, after = (m.predict(new.arrays, prompts) for m in (model, model.adapt(new.arrays, prompts)))
    assert correlation(before, turned) < 0 < correlation(after, turned)
    assert after.details["fine_tuned"] == 60
    np.testing.assert_array_equal(model.predict(new.arrays, prompts).mean, before.mean)


def test_prompts_say_whether_tuning_helps(cohort):
    new = slide("new", seed=9)
    other = replace(new, counts=new.counts[:, ::-1].copy())  # genes that rose with the feature fall
    model = Tiny(fine_tune_lr=1e-2).fit(cohort)
    model._trained = replace(model._trained, fine_tune=60)

    def tuned(one):
        prompts = prompts_of(one, 20)
        return model.adapt(one.arrays, prompts).predict(one.arrays, prompts).details["fine_tuned"]

    assert tuned(other) == 60
    model.fine_tune_lr = 3.0  # so fast that it destroys what was learned
    assert tuned(new) == 0
    model.fine_tune = 60  # told so, it does not ask
    assert tuned(new) == 60


def test_no_tuning_without_prompts_or_when_told_so(cohort):
    new = slide("new", seed=9)
    none = Prompts(np.zeros(0, int), np.zeros((0, 6), np.float32), np.zeros(0), 1e3, new.genes)
    model = Tiny(fine_tune=5, max_epochs=2).fit(cohort)
    assert model.adapt(new.arrays, none) is model
    never = Tiny(fine_tune=0, max_epochs=2).fit(cohort)
    assert never.adapt(new.arrays, prompts_of(new)) is never


def test_left_out_slides_choose_how_long_to_tune(cohort):
    alike = Tiny(fine_tune_lr=1e-2).fit(cohort)
    other = [TrainingSlide(s.arrays, s.counts[:, ::-1].copy() if i == 0 else s.counts, s.totals, s.genes)
             for i, s in enumerate(cohort)]  # fmt: skip
    assert alike.record["training"]["validation"] == ["s0"]
    assert Tiny(fine_tune_lr=1e-2).fit(other).record["training"]["fine_tune"] >= 60
    assert alike.record["training"]["fine_tune"] in Tiny.tuning


@pytest.mark.parametrize("inputs", ["features", "patches"])
def test_kept_and_restored(inputs, cohort, tmp_path):
    new = slide("new", seed=9)
    model = Tiny(inputs=inputs, max_epochs=2, fine_tune=3).fit(cohort)
    again = Tiny.load(model.save(tmp_path / "model"))
    first, second = (m.adapt(new.arrays, prompts_of(new)).predict(new.arrays, prompts_of(new)) for m in (model, again))
    np.testing.assert_array_equal(first.mean, second.mean)
    assert again.adapt(new.arrays, prompts_of(new)) is not again


@pytest.mark.parametrize("made", [Tiny, TinyMixing])
def test_same_seed_same_bits(made, cohort):
    new = slide("new", seed=9)
    one, two = (made(max_epochs=3, fine_tune=2, seed=4).fit(cohort) for _ in range(2))
    results = [m.adapt(new.arrays, prompts_of(new)).predict(new.arrays, prompts_of(new)).mean for m in (one, two)]
    np.testing.assert_array_equal(*results)


def test_slides_without_an_image_are_left_out_and_said(cohort):
    with pytest.warns(UserWarning, match=r"leaves out .blind"):
        model = Tiny(max_epochs=2).fit([*cohort, slide("blind", image=False)])
    with pytest.raises(ValueError, match=r"extract_embeddings"):
        model.predict(slide("blind", image=False).arrays, prompts_of(cohort[0]))
    with pytest.raises(ValueError, match="source_image_path"):
        Tiny(preset="paper").fit([slide("blind", image=False)])


@pytest.mark.parametrize("sizes", [[1], [2], [3], [4], [80, 1], [80, 80, 2]])
def test_slides_too_small_to_validate_on(sizes):
    small = [slide(f"s{i}", seed=i, patient=f"p{i}").arrays.take(np.arange(n)) for i, n in enumerate(sizes)]
    whole = [slide(f"s{i}", seed=i) for i in range(len(sizes))]
    slides = [
        TrainingSlide(arrays, one.counts[: arrays.n_spots], one.totals[: arrays.n_spots], one.genes)
        for arrays, one in zip(small, whole, strict=True)
    ]
    model = Tiny(max_epochs=2, training={"schedule": "plateau"}).fit(slides)
    new = slide("new", seed=9)
    assert np.isfinite(model.adapt(new.arrays, prompts_of(new)).predict(new.arrays, prompts_of(new)).mean).all()
    assert (model.record["training"]["unit"] == "none") == (sizes not in ([4], [80, 80, 2]))


def test_empty_spots_of_a_left_out_slide_tune_nothing(cohort):
    almost = [slide(f"s{i}", seed=i, patient=f"p{i}") for i in range(3)]
    for one in almost:
        one.counts[4:] = 0.0
    model = Tiny(max_epochs=1).fit(almost)
    assert model.record["training"]["fine_tune"] in Tiny.tuning


@pytest.mark.filterwarnings("ignore:for head.* a no-op")
def test_a_restored_network_is_where_training_would_leave_it(cohort, tmp_path, monkeypatch):
    path = Tiny(max_epochs=1, fine_tune=0).fit(cohort).save(tmp_path / "model")
    monkeypatch.setattr("phg2st_sc.training.device_of", lambda accelerator, devices: "meta")
    assert next(Tiny.load(path)._trained.network.parameters()).device.type == "meta"


def test_pictures_leave_no_file_behind(cohort, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = Tiny(preset="paper", max_epochs=1, fine_tune=1).fit(cohort)
    new = slide("new", seed=9)
    model.adapt(new.arrays, prompts_of(new)).predict(new.arrays, prompts_of(new))
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_read_once(cohort):
    new = slide("new", seed=9)
    model = Tiny(preset="paper", max_epochs=3).fit(cohort)
    for one in cohort:
        assert sorted(one.arrays.patches.read_rows) == list(range(80))
    for _ in range(2):
        model.predict(new.arrays, prompts_of(new))
    assert sorted(new.arrays.patches.read_rows) == list(range(80))
    untrained = slide("untrained", seed=8)
    Tiny(preset="paper", max_epochs=1).predict(untrained.arrays, prompts_of(untrained))
    assert sorted(untrained.arrays.patches.read_rows) == list(range(80))


def test_pictures_come_from_the_image_of_the_slide(tmp_path):
    data = phg2st.datasets.simulate(n_slides=2, n_patients=2, n_spots=60, n_genes=10, progress=False)
    model = phg2st.tl.train(data, method="tiny", preset="paper", max_epochs=1, progress=False)
    assert model.card["features"] == {}
    assert model.card["pictures"] == {"edge_um": 100.0, "size_px": 8}
    assert "reads the image itself: 100 µm around each spot" in model_card(model, "a/b")
    new = data["P1_S1"]
    phg2st.pp.sample_prompts(new, fraction=0.2)
    with pytest.warns(UserWarning, match="trained on slide"):
        phg2st.tl.impute(new, model=model)
    assert np.isfinite(new.layers["tiny"][:, new.var["tiny_predicted"]]).all()
    (record,) = new.uns["spatial"].values()
    for key in ("mpp", "pitch_um", "platform"):
        del record["metadata"][key]
    with pytest.raises(ValueError, match=r"pictures of 100 µm cannot be cut: store it in uns"):
        phg2st.tl.predict(new, model=model)
    del new.uns["spatial"]
    with pytest.raises(ValueError, match=r"reads the image, and slide .* has none"):
        phg2st.tl.predict(new, model=model)


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="available: 'features', 'patches'"):
        Tiny(inputs="image")
    with pytest.raises(ValueError, match="available: default, paper"):
        Tiny(preset="huge")
    with pytest.raises(ValueError, match="fine_tune=-1 .* at least 0"):
        _registry.create("tiny", fine_tune=-1)
    with pytest.raises(ValueError, match="fine_tune_lr=0.0 .* above 0"):
        _registry.create("tiny", fine_tune_lr=0.0)


def test_unknown_settings_of_the_network_are_named(cohort):
    with pytest.raises(ValueError, match="`network` of method 'tiny' has no setting 'depht'"):
        Tiny(network={"depht": 3}).fit(cohort)
    with pytest.raises(ValueError, match="must not hold 'n_genes': the data say what it is"):
        Tiny(network={"n_genes": 3}).fit(cohort)


def test_what_is_kept_names_no_folder_of_this_machine(cohort, tmp_path):
    model = Tiny(inputs="patches", weights=tmp_path / "encoder.safetensors", max_epochs=1, fine_tune=0).fit(cohort)
    saved = model.save(tmp_path / "model")
    assert str(tmp_path) not in (saved / "model.json").read_text()
    assert Tiny.load(saved).weights == "encoder.safetensors"
    assert model.fit(cohort).weights == str(tmp_path / "encoder.safetensors")


@pytest.mark.parametrize("turned", [False, True])
def test_columns_and_rows_of_a_hexagonal_lattice(turned):
    column, row = np.meshgrid(np.arange(0, 12, 2), np.arange(5))
    column = column + row % 2
    positions = np.column_stack([column.ravel() * 0.5, row.ravel() * np.sqrt(3) / 2]) + 3.0
    expected = np.column_stack([column.ravel(), row.ravel()])
    if turned:
        positions, expected = positions[:, ::-1], expected[:, ::-1]
    np.testing.assert_array_equal(lattice_grid(positions), expected)


@pytest.mark.parametrize("degrees", [-14.0, -0.5, 3.0])
@pytest.mark.parametrize("hexagonal", [False, True])
def test_columns_and_rows_of_a_lattice_that_lies_askew(degrees, hexagonal):
    column, row = (place.ravel() for place in np.meshgrid(np.arange(0, 60, 2), np.arange(40)))
    column = column + row % 2 if hexagonal else column // 2
    pitch = (0.5, np.sqrt(3) / 2) if hexagonal else (1.0, 1.0)
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    found = lattice_grid(np.column_stack([column, row]) * pitch @ rotation + 7.0)
    np.testing.assert_array_equal(found, np.column_stack([column, row]))


def test_what_a_slide_adds_to_all_features_is_taken_out(cohort):
    new = slide("new", seed=9, patient="p9")
    stained = TrainingSlide(
        replace(new.arrays, features=3.0 * new.arrays.features + 20.0), new.counts, new.totals, new.genes
    )
    prompts = prompts_of(new)
    by_slide, by_cohort = (Tiny(standardize=how, fine_tune=0).fit(cohort) for how in ("slide", "cohort"))
    one, other = (by_slide.predict(s.arrays, prompts).mean for s in (new, stained))
    np.testing.assert_allclose(one, other, rtol=1e-4)
    assert (
        np.abs(by_cohort.predict(new.arrays, prompts).mean - by_cohort.predict(stained.arrays, prompts).mean).max() > 1
    )
    with pytest.raises(ValueError, match="available: 'slide', 'cohort'"):
        Tiny(standardize="spot")
    wide = replace(new.arrays, features=np.zeros((80, 7), np.float32))
    with pytest.raises(ValueError, match="has 7 features per spot, and the model was trained on 3"):
        by_slide.predict(wide, prompts)
