"""Episodes: how prompts are drawn, and what a step is scored on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from phg2st_sc.models.phg2st.correction.draws import (
    Episode,
    EpisodeSlide,
    correlations,
    draw_prompts,
    episode_loss,
    fixed_episodes,
    training_draw,
)
from phg2st_sc.models.phg2st.correction.network import Evidence
from phg2st_sc.nn import SlideTensors
from phg2st_sc.training import EpisodeConfig

SIDE = 20


def slide(number: int = 0, *, imaged: bool = True, allowed=None) -> EpisodeSlide:
    where = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
    every = np.ones(SIDE**2, dtype=bool)
    return EpisodeSlide(number, where, every if allowed is None else allowed, every, imaged)


@pytest.mark.parametrize("pattern", ["scattered", "block"])
def test_numbers_of_prompts_are_bounded(pattern):
    rng = np.random.default_rng(0)
    sizes = [len(draw_prompts(slide(), share, pattern, 150, rng)) for share in (0.001, 0.1, 0.9)]
    assert sizes == [3, 40, 150]
    allowed = np.zeros(SIDE**2, dtype=bool)
    allowed[:5] = True
    few = draw_prompts(slide(allowed=allowed), 0.99, pattern, 150, rng)
    assert len(few) == 4
    assert set(few) <= set(range(5))


def test_a_block_is_contiguous_and_scattered_prompts_are_not():
    one, rng = slide(), np.random.default_rng(1)
    spans = {
        p: np.ptp(one.positions[draw_prompts(one, 0.05, p, 400, rng)], axis=0).max() for p in ("block", "scattered")
    }
    assert spans["block"] <= 8
    assert spans["scattered"] > 12


def test_draws_cover_shares_patterns_and_lost_images():
    slides, config = [slide(0), slide(1, imaged=False)], EpisodeConfig()
    draws = [training_draw(slides, config, np.random.default_rng(step)) for step in range(400)]
    sizes = np.array([len(index) for _, index, _ in draws])
    assert sizes.min() <= 5
    assert sizes.max() > 300
    assert 0.4 < np.mean(sizes < 38) < 0.65  # half of the shares lie below the geometric mean, 9.5 %
    assert not any(shown for one, _, shown in draws if one.number == 1)
    assert 0.6 < np.mean([shown for one, _, shown in draws if one.number == 0]) < 0.8


def test_fixed_episodes_depend_on_seed_and_draw_alone():
    seen = []

    def make(one, index, image):
        seen.append((one.number, tuple(index), image))
        return None

    for draw in (0, 0, 1):
        fixed_episodes([slide(3), slide(4, imaged=False)], make, EpisodeConfig(), draw=draw)
    assert seen[:4] == seen[4:8] != seen[8:]
    assert [(number, image) for number, _, image in seen[:4]] == [(3, True), (3, True), (4, False), (4, False)]


def test_weighted_correlation_is_numpys():
    rng = np.random.default_rng(0)
    a, b, weight = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), rng.integers(0, 4, size=(50, 2))
    found = correlations(*(torch.from_numpy(x).double() for x in (a, a + b, weight)))
    for j in range(2):
        rows = np.repeat(np.arange(50), weight[:, j])
        expected = np.corrcoef(a[rows, j], (a + b)[rows, j])[0, 1]
        assert found[j].item() == pytest.approx(expected, abs=1e-3)


def test_spots_without_weight_teach_nothing():
    rng = np.random.default_rng(0)
    truth, predicted, correction = (torch.from_numpy(rng.normal(size=(9, 2))) for _ in range(3))
    weight = torch.ones(9, 2)
    weight[[1, 4]] = 0.0
    none = torch.zeros(0, 2)
    evidence = Evidence(torch.zeros(0, dtype=torch.long), none, none, none, predicted, torch.ones(9), torch.tensor(1.0))
    where = SlideTensors(torch.zeros(9, 2), lambda x: x)
    first = episode_loss(correction, Episode(where, evidence, truth, weight, 0), correlation=0.5)
    other = truth.clone()
    other[[1, 4]] += 100.0
    assert torch.equal(episode_loss(correction, Episode(where, evidence, other, weight, 0), correlation=0.5), first)
    perfect = episode_loss(truth - predicted, Episode(where, evidence, truth, weight, 0), correlation=0.5)
    assert perfect.item() == pytest.approx(0.0, abs=1e-3)


def test_settings_are_checked():
    for wrong, words in (
        ({"fewest": 0.0}, "fewest=0.0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"image_dropout": 1.0}, "image_dropout=1.0"),
        ({"optimizer": "sgd"}, "optimizer='sgd'"),
    ):
        with pytest.raises(ValueError, match=words):
            EpisodeConfig(**wrong)
