"""Train the published network on a cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray

from ..._arrays import TrainingSlide
from ...metrics import depth_free_target
from ...nn import FeatureStats, NetworkConfig, SlideTensors, own_randomness, slide_tensors
from ...training import (
    Machine,
    Split,
    TrainedNetwork,
    TrainingConfig,
    device_of,
    inner_split,
    level_correction,
    training_record,
)
from .batch import SlideTargets, TrainingSet, ValidationSet
from .module import predict_rows, train_network
from .network import PHG2STNetwork

_MOST_SLIDES = 12
"""Training slides that the levels are corrected on."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained(TrainedNetwork[PHG2STNetwork]):
    """The published network, trained.

    Attributes
    ----------
    scale
        s of the log1p(s * count / total) that it predicts.
    imaged
        Whether any training slide had an image.
    """

    network: PHG2STNetwork
    stats: FeatureStats
    level: Annotated[NDArray[np.float32], "G", ">= 0"]
    scale: Annotated[float, "> 0"]
    imaged: bool


def _sizes(slides: Sequence[TrainingSlide], make: Callable[..., NetworkConfig]) -> NetworkConfig:
    """Sizes of a network that takes these slides; without any image, features as wide as the tokens stand in."""
    widths = {s.arrays.features.shape[1] for s in slides if s.arrays.features is not None}
    if len(widths) > 1:
        msg = f"Training slides have features of different widths: {sorted(widths)}."
        raise ValueError(msg)
    n_genes = len(slides[0].genes)
    if widths:
        return make(n_features=widths.pop(), n_genes=n_genes)
    return make(n_features=make(n_features=1, n_genes=n_genes).width, n_genes=n_genes)


def train(
    slides: Sequence[TrainingSlide],
    make_config: Callable[..., NetworkConfig],
    training: TrainingConfig,
    machine: Machine,
    *,
    n_neighbors: int,
    engine: str,
) -> Trained:
    """Train on all slides but those that decide when to stop; ``make_config`` takes the sizes that the slides ask for."""
    config = _sizes(slides, make_config)
    scale = float(np.median(np.concatenate([s.totals for s in slides])))
    split = inner_split(
        [s.arrays.n_spots for s in slides],
        [s.arrays.patient for s in slides],
        [s.arrays.positions for s in slides],
        fraction=training.validation_fraction,
        seed=training.seed,
    )
    kept = [slides[i] for i in split.train]
    stats = FeatureStats.of([s.arrays.features for s in kept if s.arrays.features is not None], config.n_features)
    tensors = {
        i: slide_tensors(slides[i].arrays, config, stats, n_neighbors=n_neighbors, engine=engine)
        for i in sorted({*split.train, *split.validation})
    }
    network = _new_network(config, training.seed, kept, stats, scale)
    measured = [_training_slide(slides[i], tensors[i], i, split, scale, training) for i in split.train]
    checks = [_validation_slide(slides[i], tensors[i], i, split, scale, training) for i in split.validation]
    result = train_network(network, TrainingSet(measured), ValidationSet(checks), training, machine)
    level = _level_correction(
        network.to(device_of(machine.accelerator, machine.devices)), kept, measured, training, scale
    )
    names = [slide.arrays.name for slide in slides]
    return Trained(
        network=network,
        stats=stats,
        level=level,
        record={"training": training_record(result, split, names, network, training)},
        scale=scale,
        imaged=any(slide.arrays.features is not None for slide in slides),
    )


def log_normalize(counts: NDArray[np.floating], totals: NDArray[np.floating], scale: float) -> NDArray[np.float32]:
    """log1p(s * count / total)."""
    return np.log1p(scale * counts / np.maximum(totals, 1.0)[:, None]).astype(np.float32)


def _new_network(
    config: NetworkConfig, seed: int, slides: Sequence[TrainingSlide], stats: FeatureStats, scale: float
) -> PHG2STNetwork:
    with own_randomness(seed):
        network = PHG2STNetwork(config)
    expression = np.concatenate([log_normalize(s.counts, s.totals, scale) for s in slides]).mean(axis=0)
    network.initialize(torch.from_numpy(stats.mean), torch.from_numpy(stats.scale), torch.from_numpy(expression))
    return network


def _training_slide(
    slide: TrainingSlide, tensors: SlideTensors, number: int, split: Split, scale: float, training: TrainingConfig
) -> SlideTargets:
    expression = torch.from_numpy(log_normalize(slide.counts, slide.totals, scale))
    allowed = np.ones(slide.arrays.n_spots, dtype=bool) if split.held_out is None else ~split.held_out
    weight = torch.from_numpy(slide.totals.astype(np.float32)) if training.depth_weights else None
    return SlideTargets(tensors, expression, allowed, number, weight)


def _validation_slide(
    slide: TrainingSlide, tensors: SlideTensors, number: int, split: Split, scale: float, training: TrainingConfig
) -> SlideTargets:
    n = slide.arrays.n_spots
    may_show = np.arange(n) if split.held_out is None else np.flatnonzero(~split.held_out)
    rng = np.random.default_rng((training.seed, 3, number))
    shown = np.zeros(n, dtype=bool)
    shown[rng.choice(may_show, max(1, round(training.validation_prompts * may_show.size)), replace=False)] = True
    held_out = ~shown if split.held_out is None else split.held_out
    held_out = held_out & (slide.counts.sum(axis=1) > 0)
    truth = np.full((n, len(slide.genes)), np.nan)
    truth[held_out] = depth_free_target(slide.counts[held_out], slide.arrays.positions[held_out])
    expression = torch.from_numpy(log_normalize(slide.counts, slide.totals, scale))
    return SlideTargets(tensors, expression, ~held_out, number, truth=truth, prompts=torch.from_numpy(shown))


def _level_correction(
    network: PHG2STNetwork,
    slides: Sequence[TrainingSlide],
    measured: Sequence[SlideTargets],
    training: TrainingConfig,
    scale: float,
) -> NDArray[np.float32]:
    """(G,) counts over predicted counts at the unprompted training spots."""
    counts = np.zeros(len(slides[0].genes))
    predicted = np.zeros_like(counts)
    device = next(network.parameters()).device
    for slide, one in list(zip(slides, measured, strict=True))[:_MOST_SLIDES]:
        rng = np.random.default_rng((training.seed, 4, one.number))
        shown = rng.random(slide.arrays.n_spots) < training.validation_prompts
        here = one.to(device)
        output = predict_rows(network, here.slide, here.expression, torch.from_numpy(shown).to(device)).cpu().numpy()
        rate = np.expm1(np.maximum(output[~shown], 0.0)).astype(np.float64) / scale
        counts += slide.counts[~shown].sum(axis=0)
        predicted += slide.totals[~shown] @ rate
    return level_correction(counts, predicted).astype(np.float32)
