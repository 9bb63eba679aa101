"""The network as a member of the stack: trained without some patients, weighed by them, averaged in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from phg2st_sc._arrays import SlideArrays, TrainingSlide
from phg2st_sc._state import pack, unpack
from phg2st_sc.linear import Measured, TrainingEpisode
from phg2st_sc.models.phg2st.network.model import NetworkMember, patient_folds
from phg2st_sc.models.phg2st.network.weights import DEFAULT_WEIGHTS, Judged, alike, learn_weights
from phg2st_sc.training import EpisodeConfig, Machine

K, SIDE, DEPTH = 3, 12, 4.0
QUIET = Machine(accelerator="cpu", progress=False)
SMALL = {"width": 16, "hypergraph_width": 8, "propagation_blocks": 1}
QUICK = EpisodeConfig(max_epochs=2, steps_per_epoch=3)


class Fields:
    """Smooth fields, plus what is nonlinear in the image; a linear part that smooths the prompts alone."""

    def __init__(self, *, planted: float = 1.0, image: bool = True, n: int = 6) -> None:
        self.scale = np.array([1.0, 0.7, 0.4])
        self.slides, self.truths = [], []
        where = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
        for number in range(n):
            rng = np.random.default_rng(number)
            looks = rng.normal(size=(SIDE**2, 2)).astype(np.float32)
            smooth = np.sin(where[:, :1] / 3.0 + rng.uniform(0, 6, K))
            truth = (smooth + 2 * planted * (np.abs(looks[:, :1]) - 0.8)) * self.scale
            self.truths.append(truth + rng.normal(size=truth.shape) / np.sqrt(DEPTH))
            arrays = SlideArrays(f"s{number}", where, looks if image else None, patient=f"p{number}")
            counts = np.ones((SIDE**2, K), np.float32)
            self.slides.append(TrainingSlide(arrays, counts, counts.sum(axis=1), tuple("abc")))

    @property
    def arrays(self):
        return [slide.arrays for slide in self.slides]

    def episode(self, slide, index):
        truth = self.truths[slide]
        return TrainingEpisode(Measured(index, truth[index], np.ones(len(index)), DEPTH), truth, np.ones(len(truth)))

    def linear(self, slide, index):
        where, truth = self.arrays[slide].positions, self.truths[slide]
        kernel = np.exp(-np.linalg.norm(where[:, None] - where[index], axis=-1) / 3.0)
        return kernel @ np.linalg.solve(kernel[index] + 0.5 * np.eye(len(index)), truth[index])


@pytest.fixture(scope="module")
def planted():
    source = Fields()
    config = EpisodeConfig(max_epochs=30, lr=5e-3)
    return source, NetworkMember.train(source, network={**SMALL, "width": 32}, training=config, machine=QUIET)


def test_it_earns_weight_and_gains_where_the_image_is_not_linear(planted):
    _, member = planted
    assert member.record["judged_on"] == [f"p{i}" for i in range(6)]
    assert member.scattered.min() > DEFAULT_WEIGHTS["scattered"]
    assert ((member.block >= 0) & (member.block <= 1)).all()
    new, index = Fields(n=9), np.arange(0, SIDE**2, 5)
    rest, gains = np.setdiff1d(np.arange(SIDE**2), index), []
    for number in range(6, 9):  # patients that training never saw
        linear, truth = new.linear(number, index), new.truths[number]
        added = member.predict(member.encode(new.arrays[number]), new.episode(number, index).prompts, linear)
        before, after = (
            np.mean([np.corrcoef(x[rest, j], truth[rest, j])[0, 1] for j in range(K)]) for x in (linear, linear + added)
        )
        gains.append(after - before)
    assert min(gains) > 0.02


def test_kept_and_restored_it_predicts_the_same(planted):
    source, member = planted
    again = unpack(NetworkMember, *pack(member))
    index = np.arange(0, SIDE**2, 5)
    given = (source.episode(0, index).prompts, source.linear(0, index))
    before, after = (m.predict(m.encode(source.arrays[0]), *given) for m in (member, again))
    assert np.abs(before).max() > 0.1
    np.testing.assert_array_equal(before, after)
    assert again.record == member.record


def test_it_says_nothing_without_an_image_or_with_hardly_a_prompt(planted):
    source, member = planted
    assert member.encode(replace(source.arrays[0], features=None)) is None
    index = np.array([3, 60])
    linear = source.linear(0, index)
    assert not member.predict(member.encode(source.arrays[0]), source.episode(0, index).prompts, linear).any()


def test_another_width_of_features_is_refused(planted):
    source, member = planted
    wrong = replace(source.arrays[0], features=np.ones((SIDE**2, 5), np.float32))
    with pytest.raises(ValueError, match="has 5 features per spot, the network takes 2"):
        member.encode(wrong)


def test_same_seed_same_bits_and_another_seed_others():
    source, results = Fields(n=3), []
    for seed in (0, 0, 1):
        torch.rand(3)
        found = NetworkMember.train(source, network=SMALL, training=replace(QUICK, seed=seed), machine=QUIET)
        results.append(np.concatenate([v.ravel().astype(float) for v in pack(found)[1].values()]))
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()


class _Stop(Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch == 0


def test_resumed_training_equals_uninterrupted(tmp_path):
    source, settings = Fields(n=3), {"network": SMALL, "training": QUICK}
    whole = NetworkMember.train(source, machine=QUIET, **settings)
    cut = replace(QUIET, checkpoint_dir=str(tmp_path), callbacks=(_Stop(),))
    assert NetworkMember.train(source, machine=cut, **settings).record["epochs"] == 1
    resumed = NetworkMember.train(source, machine=replace(QUIET, resume_from=str(tmp_path / "last.ckpt")), **settings)
    for name, value in pack(whole)[1].items():
        np.testing.assert_array_equal(pack(resumed)[1][name], value)


@pytest.mark.parametrize(("n", "image"), [(1, True), (2, True), (3, False)])
def test_few_patients_and_no_images_train(n, image):
    found = NetworkMember.train(Fields(n=n, image=image), network=SMALL, training=QUICK, machine=QUIET)
    assert found.record["epochs"] == 2
    assert found.record["judged_on"] == []
    # with images of one patient, or none, image features are not looked at, and there is no say before the cohort gives one
    np.testing.assert_array_equal(found.scattered, DEFAULT_WEIGHTS["scattered"] if n == 2 else 0.0)
    assert found.is_trusted == (n == 2)


def test_no_patient_teaches_the_network_that_is_judged_on_it():
    patients = ["a", "b", "a", "c", "d", "e"]
    folds = patient_folds(patients, seed=0)
    assert sorted(i for fold in folds for i in fold) == list(range(6))
    assert all(({0, 2} <= fold) or not ({0, 2} & fold) for fold in folds)
    assert patient_folds(["a", "b", "a"], seed=0) == [frozenset(), frozenset()]


def judged(patient: str, use: float, *, pattern: str = "scattered") -> Judged:
    rng = np.random.default_rng(int(patient))
    truth = rng.normal(size=(80, 4))
    linear = 0.5 * truth + rng.normal(size=(80, 4))
    network = use * truth + rng.normal(size=(80, 4))
    return Judged(linear, network, truth, np.ones((80, 4)), patient, pattern)


def test_weights_follow_what_left_out_patients_gained():
    groups = np.array([0, 0, 1, 1])
    for use, fits in ((4.0, lambda w: w.min() > 0.4), (0.0, lambda w: w.max() < 0.25)):
        found = learn_weights([judged(str(i), use) for i in range(8)], groups)
        assert fits(found["scattered"])
        np.testing.assert_array_equal(found["block"], DEFAULT_WEIGHTS["block"])
    few, many = (learn_weights([judged(str(i), -1.0) for i in range(n)], groups)["scattered"] for n in (1, 12))
    assert many.max() < few.max() < DEFAULT_WEIGHTS["scattered"]


def test_maps_are_averaged_in_the_spread_of_the_linear_ones():
    rng = np.random.default_rng(0)
    network, linear = rng.normal(3.0, 9.0, size=(50, 2)), rng.normal(size=(50, 2))
    found = alike(network, linear)
    np.testing.assert_allclose(found.mean(0), linear.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.std(0), linear.std(0))
