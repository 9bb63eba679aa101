"""Episodes: how prompts are drawn, and what a step is scored on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial import KDTree

from phg2st_sc.graph import HypergraphOperator, PositionKNN
from phg2st_sc.models.phg2st.network.draws import (
    Episode,
    EpisodeSlide,
    correlations,
    draw_prompts,
    episode_loss,
    pattern_of,
    training_draw,
    window,
)
from phg2st_sc.models.phg2st.network.tensors import Evidence, SlideInput
from phg2st_sc.training import EpisodeConfig

SIDE = 20


def slide(number: int = 0, *, imaged: bool = True, allowed=None) -> EpisodeSlide:
    where = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1).reshape(-1, 2).astype(float)
    every = np.ones(SIDE**2, dtype=bool)
    return EpisodeSlide(number, where, every if allowed is None else allowed, imaged)


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
    config = EpisodeConfig()
    draws = [training_draw(slide(), config, np.random.default_rng(step)) for step in range(400)]
    sizes = np.array([len(index) for _, index, _ in draws])
    assert 16 <= sizes.min() <= 20
    assert 140 < sizes.max() <= 160
    assert 0.4 < np.mean(sizes < 51) < 0.6  # half of the shares lie below the geometric mean
    assert 0.6 < np.mean([shown for *_, shown in draws]) < 0.8
    assert not any(training_draw(slide(imaged=False), config, np.random.default_rng(0))[2] for _ in range(20))


@pytest.mark.parametrize("share", [0.03, 0.1, 0.3])
def test_patterns_are_told_apart(share):
    one = slide()
    for pattern in ("scattered", "block"):
        for seed in range(10):
            index = draw_prompts(one, share, pattern, 400, np.random.default_rng(seed))
            nearest, _ = KDTree(one.positions[index]).query(one.positions)
            assert pattern_of(nearest, index.size) == pattern


def test_weighted_correlation_is_numpys():
    rng = np.random.default_rng(0)
    a, b, weight = rng.normal(size=(50, 2)), rng.normal(size=(50, 2)), rng.integers(0, 4, size=(50, 2))
    found = correlations(*(torch.from_numpy(x).double() for x in (a, a + b, weight)))
    for j in range(2):
        rows = np.repeat(np.arange(50), weight[:, j])
        expected = np.corrcoef(a[rows, j], (a + b)[rows, j])[0, 1]
        assert found[j].item() == pytest.approx(expected, abs=1e-3)


def episode(n: int = 9, k: int = 2) -> Episode:
    rng = np.random.default_rng(0)
    where = torch.from_numpy(rng.uniform(0, 6, size=(n, 2)).astype(np.float32))
    operator = HypergraphOperator(PositionKNN(n_neighbors=2).build(where.numpy().astype(float)), engine="torch")
    index = torch.tensor([0, 3])
    evidence = Evidence(index, torch.randn(2, k), torch.ones(2, k), 100.0)
    return Episode(SlideInput(where, operator), evidence, torch.randn(n, k), torch.ones(n, k))


def test_spots_without_weight_teach_nothing():
    one = episode()
    weight = one.weight.clone()
    weight[[1, 4]] = 0.0
    one = replace(one, weight=weight)
    made = torch.randn_like(one.truth)
    first = episode_loss(made, made, one, correlation=0.5)
    other = one.truth.clone()
    other[[1, 4]] += 100.0
    assert torch.equal(episode_loss(made, made, replace(one, truth=other), correlation=0.5), first)
    assert episode_loss(one.truth, one.truth, one, correlation=0.5).item() == pytest.approx(0.0, abs=1e-3)


def test_prompts_teach_the_head_alone():
    one = episode()
    made, moved = torch.randn_like(one.truth), torch.zeros_like(one.truth)
    moved[one.evidence.index] = 3.0
    first = episode_loss(made, made, one, correlation=0.5)
    assert torch.equal(episode_loss(made + moved, made, one, correlation=0.5), first)
    assert not torch.equal(episode_loss(made, made + moved, one, correlation=0.5), first)


def test_windows_hold_spots_around_a_prompt():
    part = window(episode(30), 10, np.random.default_rng(0))
    assert part.slide.n_spots == len(part.truth) == len(part.weight) == 10
    assert 1 <= len(part.evidence.index) <= 2
    assert part.evidence.index.max() < 10


def test_settings_are_checked():
    for wrong, words in (
        ({"fewest": 0.0}, "fewest=0.0"),
        ({"steps_per_epoch": 0}, "steps_per_epoch=0"),
        ({"image_dropout": 1.0}, "image_dropout=1.0"),
        ({"optimizer": "sgd"}, "optimizer='sgd'"),
    ):
        with pytest.raises(ValueError, match=words):
            EpisodeConfig(**wrong)
