"""HisToGene and Hist2ST: networks that look at all spots of a slide at once."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from phg2st_sc import models
from phg2st_sc.models import SlideArrays, TrainingSlide

NAMES = ("histogene", "hist2st")
SMALL = {"width": 32, "depth": 1, "heads": 2}
each = pytest.mark.parametrize("name", NAMES)


class Pictures:
    """Each spot has one brightness."""

    def __init__(self, brightness):
        self.brightness = brightness

    def read(self, rows, *, edge_um, size):
        plain = np.broadcast_to(self.brightness[rows][:, None, None, None], (len(rows), size, size, 3))
        return plain.astype(np.uint8)


def smooth(seed: int, *, side: int = 14, genes: int = 8) -> TrainingSlide:
    """Genes go up or down with a look of the tissue that varies slowly over the slide."""
    rng = np.random.default_rng(seed)
    positions = np.argwhere(np.ones((side, side))).astype(float)
    phase = rng.uniform(0, 2 * np.pi, 2)
    look = np.sin(positions[:, 0] / 2.0 + phase[0]) + np.sin(positions[:, 1] / 2.0 + phase[1])
    rate = np.exp(0.7 * np.outer(look, np.where(np.arange(genes) % 2, 1.0, -1.0)))
    counts = rng.poisson(400 * rate / rate.sum(axis=1, keepdims=True)).astype(np.float32)
    features = np.column_stack([look, rng.normal(size=(side**2, 3))]).astype(np.float32)
    arrays = SlideArrays(
        f"s{seed}", positions, features, {}, f"p{seed}", patches=Pictures(np.clip(128 + 50 * look, 0, 255))
    )
    return TrainingSlide(arrays, counts, counts.sum(axis=1, dtype=np.float64), tuple(f"g{i}" for i in range(genes)))


@pytest.fixture(scope="module")
def cohort():
    return [smooth(seed) for seed in range(1, 4)]


@pytest.fixture(scope="module")
def new():
    return smooth(9)


def prompts_of(slide, n):
    return slide.prompts(np.arange(n) * 7, target_sum=1e4)


@each
def test_what_the_image_says_is_learned_across_patients(name, cohort, new, score):
    prompts = prompts_of(new, 10)
    model = models.create(name, network=SMALL, max_epochs=60, fine_tune=0).fit(cohort)
    assert score(model.predict(new.arrays, prompts).mean, new, prompts).mean() > 0.6


@each
def test_the_target_is_the_base_ten_logarithm_of_the_share(name):
    model = models.create(name)
    counts = np.array([[0.0, 1.0, 9.0], [0.0, 0.0, 0.0]])
    target = model.target.expression(counts)
    np.testing.assert_allclose(target, [[0.0, np.log10(1001.0), np.log10(9001.0)], [0.0, 0.0, 0.0]], rtol=1e-6)
    np.testing.assert_allclose(model.target.share(target)[0], [0.0, 0.1, 0.9], rtol=1e-5)
    assert (model.target.share(np.full((2, 3), -1.0, np.float32)) == 0).all()
    assert np.isfinite(model.target.share(np.full((2, 3), 1e30, np.float32))).all()


@each
def test_pictures_are_read_through_its_own_encoder_and_kept(name, cohort, new, tmp_path):
    sizes = {**SMALL, "patch_px": 28}
    model = models.create(name, inputs="patches", network=sizes, max_epochs=2, fine_tune=1).fit(cohort)
    blind = replace(new, arrays=replace(new.arrays, features=None))
    prompts = prompts_of(new, 10)
    mean = model.adapt(blind.arrays, prompts).predict(blind.arrays, prompts).mean
    again = models.load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.adapt(blind.arrays, prompts).predict(blind.arrays, prompts).mean, mean)
    assert np.ptp(mean, axis=0).min() > 0


@each
@pytest.mark.parametrize("inputs", ["features", "patches"])
def test_the_default_sizes_fit_together(name, inputs):
    model = models.create(name, inputs=inputs)
    network = model.new_network(785, 282)
    assert sum(p.numel() for p in network.parameters()) < 3e6
    assert network.patches_at == "all"


@each
def test_the_paper_preset_is_the_published_training(name):
    model = models.create(name, preset="paper")
    config = model.spot_config()
    assert model.reads_patches
    assert (config.optimizer, config.lr, config.batch_size) == ("adam", 1e-5, None)
    assert (config.validation_fraction, config.patience) == (0.0, 0)  # no early end
    assert (config.schedule, config.max_epochs) == {"histogene": ("none", 100), "hist2st": ("step", 350)}[name]


@each
def test_a_larger_lattice_than_it_was_trained_on(name, cohort):
    model = models.create(name, network={**SMALL, "n_positions": 10}, max_epochs=1, fine_tune=0).fit(cohort)
    wide = smooth(5, side=20)
    assert np.isfinite(model.predict(wide.arrays, prompts_of(wide, 5)).mean).all()
