"""Small slides with smooth fields, and prompts on the working scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from phg2st_sc._arrays import SlideArrays, TrainingSlide
from phg2st_sc.linear._gene_basis import GeneBasis
from phg2st_sc.linear._rates import RateScale
from phg2st_sc.linear._working import Working
from phg2st_sc.models.phg2st.knowledge import Knowledge

GENES = tuple(f"g{i}" for i in range(16))


def smooth(positions: NDArray[np.float64], n_fields: int, seed: int) -> NDArray[np.float64]:
    """(n, n_fields) independent random fields that vary over about four pitches, unit variance."""
    rng = np.random.default_rng(seed)
    waves = rng.normal(scale=0.35, size=(2, 12 * n_fields))
    values = np.cos(positions @ waves + rng.uniform(0, 2 * np.pi, 12 * n_fields))
    fields = values.reshape(len(positions), 12, n_fields).sum(axis=1)
    return (fields - fields.mean(axis=0)) / fields.std(axis=0)


def oblong(n_x: int = 16, n_y: int = 12) -> NDArray[np.float64]:
    """Square lattice with one corner cut off: it looks the same only as it lies."""
    x, y = np.meshgrid(np.arange(n_x), np.arange(n_y))
    positions = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float64)
    return positions[positions.sum(axis=1) > 6]


def training_slide(
    seed: int, *, name: str | None = None, patient: str | None = None, image: bool = True
) -> TrainingSlide:
    """Genes follow four fields with the same loadings on every slide; the image shows the first two."""
    positions = oblong()
    fields = smooth(positions, 4, seed)
    rng = np.random.default_rng(seed + 1000)
    loadings = np.random.default_rng(7).normal(scale=0.4, size=(4, len(GENES)))
    rate = np.exp(fields @ loadings)
    totals = 2000.0 * rng.gamma(6.0, 1 / 6.0, len(positions))
    counts = rng.poisson(rate / rate.sum(axis=1, keepdims=True) * totals[:, None]).astype(np.float32)
    mixing = np.random.default_rng(8).normal(size=(2, 10))
    features = fields[:, :2] @ mixing + 0.4 * rng.normal(size=(len(positions), 10))
    arrays = SlideArrays(
        name or f"s{seed}",
        positions,
        features.astype(np.float32) if image else None,
        patient=patient or f"p{seed}",
    )
    return TrainingSlide(arrays, counts, counts.sum(axis=1, dtype=np.float64), GENES)


@pytest.fixture(scope="session")
def make_training() -> Callable[..., TrainingSlide]:
    """:func:`training_slide`."""
    return training_slide


@pytest.fixture(scope="session")
def fields() -> Callable[..., NDArray[np.float64]]:
    """:func:`smooth`."""
    return smooth


@pytest.fixture(scope="session")
def tissue() -> NDArray[np.float64]:
    """:func:`oblong`."""
    return oblong()


@pytest.fixture(scope="session")
def make_working() -> Callable[..., Working]:
    """Prompts at given spots with given whitened values and noise; levels of all genes alike."""

    def make(index: NDArray[np.int64], values: NDArray[np.float64], noise: NDArray[np.float64]) -> Working:
        level = np.full(values.shape[1], 1.0 / values.shape[1])
        return Working(index, RateScale(level), values, noise, 1000.0, 1.0, 1e4)

    return make


@pytest.fixture(scope="session")
def make_knowledge() -> Callable[..., Knowledge]:
    """Knowledge of gene components alone."""

    def make(vectors: NDArray[np.float64], variance: NDArray[np.float64]) -> Knowledge:
        n_genes = len(vectors)
        return Knowledge(np.full(n_genes, 1 / n_genes), np.ones(n_genes), GeneBasis(vectors, variance))

    return make
