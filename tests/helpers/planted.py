"""Slides as methods see them: arrays, with a planted truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from phg2st_sc.models import Prompts, SlideArrays, TrainingSlide

N_GENES = 24
GENES = tuple(f"g{i}" for i in range(N_GENES))
SPACE_GENES, IMAGE_GENES, NOISE_GENES = slice(0, 8), slice(8, 16), slice(16, 24)
TARGET_SUM = 1e4
RECORD = {"encoder": "planted", "revision": "1", "transform": "none", "tile_um": 112.0}


def lattice(n: int) -> NDArray[np.float64]:
    """Square lattice of about n spots, neighbours 1 apart."""
    side = int(np.ceil(np.sqrt(n)))
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    return np.stack([x.ravel(), y.ravel()], axis=1)[:n].astype(np.float64)


def planted(
    seed: int, *, n_spots: int = 196, depth: float = 3000.0, name: str | None = None, image: bool = True
) -> TrainingSlide:
    """Slide whose first genes follow a smooth wave, the next the image (rough in space), the last nothing."""
    rng = np.random.default_rng(seed)
    positions = lattice(n_spots)
    phase = rng.uniform(0, 2 * np.pi, 2)
    wave = np.sin(positions[:, 0] / 4.0 + phase[0]) + np.sin(positions[:, 1] / 4.0 + phase[1])
    looks = rng.normal(size=n_spots)
    log_rate = np.zeros((n_spots, N_GENES))
    sign = np.where(np.arange(8) % 2, 1.0, -1.0)
    log_rate[:, SPACE_GENES] = 0.5 * wave[:, None] * sign
    log_rate[:, IMAGE_GENES] = 0.7 * looks[:, None] * sign
    rate = np.exp(log_rate + np.linspace(-0.5, 0.5, N_GENES))
    rate /= rate.sum(axis=1, keepdims=True)
    totals = depth * rng.gamma(6.0, 1 / 6.0, n_spots)
    counts = rng.poisson(rate * totals[:, None]).astype(np.float32)
    directions = np.random.default_rng(99).normal(size=(2, 12))
    features = np.stack([looks, rng.normal(size=n_spots)], axis=1) @ directions
    features = (features + 0.3 * rng.normal(size=features.shape)).astype(np.float32) if image else None
    arrays = SlideArrays(name or f"s{seed}", positions, features, RECORD if image else {}, f"patient{seed}")
    return TrainingSlide(arrays, counts, counts.sum(axis=1, dtype=np.float64) / 0.8, GENES)


def scattered(slide: TrainingSlide, n: int, seed: int = 0) -> Prompts:
    """n spots at random as prompts."""
    index = np.random.default_rng(seed).choice(slide.arrays.n_spots, n, replace=False)
    return slide.prompts(index, target_sum=TARGET_SUM)


def held_out_pcc(mean: NDArray[np.floating], slide: TrainingSlide, prompts: Prompts) -> NDArray[np.float64]:
    """(G,) correlation with the held-out shares; 0 for a constant prediction."""
    held_out = np.setdiff1d(np.arange(slide.arrays.n_spots), prompts.index)
    truth = slide.counts / slide.counts.sum(axis=1, keepdims=True)
    guess = np.expm1(mean.astype(np.float64))
    guess = guess / guess.sum(axis=1, keepdims=True)
    t, g = truth[held_out] - truth[held_out].mean(0), guess[held_out] - guess[held_out].mean(0)
    norm = np.sqrt((t**2).sum(0) * (g**2).sum(0))
    return np.where(g.std(0) > 1e-9, (t * g).sum(0) / np.maximum(norm, 1e-12), 0.0)


@pytest.fixture(scope="session")
def cohort() -> list[TrainingSlide]:
    """Four slides of four patients."""
    return [planted(seed) for seed in range(1, 5)]


@pytest.fixture(scope="session")
def slide() -> TrainingSlide:
    """A slide no method was trained on."""
    return planted(0)


@pytest.fixture(scope="session")
def make_slide() -> Callable[..., TrainingSlide]:
    """:func:`planted`."""
    return planted


@pytest.fixture(scope="session")
def draw() -> Callable[..., Prompts]:
    """:func:`scattered`."""
    return scattered


@pytest.fixture(scope="session")
def score() -> Callable[..., NDArray[np.float64]]:
    """:func:`held_out_pcc`."""
    return held_out_pcc
