"""Train a published network as its recipe says, and tune it to a slide on its prompts."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ...metrics import depth_free_target
from ...nn import FeatureStats, own_randomness
from ...training import Split, SpotConfig, device_of, inner_split, level_correction, training_record
from ._network import SpotNetwork, SpotTargets
from ._recipe import MeasuredSpots, NetworkRecipe
from ._slides import SlideSource
from ._steps import MeasuredSource
from ._trained import TrainedSpotNetwork
from ._training import fine_tune, predict_spots, score_slide, train_spot_network

_TUNING_PROMPTS = 0.1
_MOST_TRIED = 3
_FEWEST = 3
"""Spots with counts that a slide needs to be validated on: of one or two no correlation tells anything."""


def fit(recipe: NetworkRecipe, slides: Sequence[MeasuredSpots]) -> tuple[TrainedSpotNetwork, list[SlideSource]]:
    """Train a new network on measured spots, all but those that decide when to stop; returns the slides' tensors too."""
    split, config, machine = _split(slides, recipe.config), recipe.config, recipe.machine
    if not split.validation:
        config = replace(config, validation_fraction=0.0)
    kept = [_part(slides[i], split, held_out=False) for i in split.train]
    checks = [_part(slides[i], split, held_out=True) for i in split.validation]
    trained = _new_network(recipe, kept)
    network, patch = trained.network, recipe.patch_size(trained.network)
    sources = {id(one.arrays): trained.source(one.arrays, patch) for one in slides}
    training = [_with_targets(recipe, one, sources[id(one.arrays)]) for one in kept]
    validation = [_with_truth(recipe, one, sources[id(one.arrays)]) for one in checks]
    targets = [one.targets for one in training]
    network.initialize_counts(
        torch.cat([one.counts for one in targets]), torch.cat([one.size_factors for one in targets])
    )
    if recipe.prepare is not None:
        trained = recipe.prepare(trained, training)
    result = train_spot_network(network, training, validation, config, machine)
    network.to(device_of(machine.accelerator, machine.devices))
    trained = replace(trained, level=_levels(recipe, network, kept, training))
    trained = replace(trained, fine_tune=_tuning(recipe, trained, checks, validation))
    facts = training_record(result, split, [one.arrays.name for one in slides], network, config)
    record = {"training": {**facts, "fine_tune": trained.fine_tune}, **trained.origin}
    if patch is not None:
        record["pictures"] = {"edge_um": float(patch.edge_um), "size_px": int(patch.size)}
    return replace(trained, record=record), list(sources.values())


def predict_shares(recipe: NetworkRecipe, network: SpotNetwork, source: SlideSource) -> NDArray[np.float64]:
    """(n, G) shares in the panel, up to a factor per gene, at every spot."""
    return recipe.target.share(predict_spots(network, source, np.arange(source.n_spots)))


def completed(
    recipe: NetworkRecipe, trained: TrainedSpotNetwork, slide: MeasuredSpots, source: SlideSource
) -> MeasuredSpots:
    """The slide with counts of the genes that it lacks as the network expects them beside the others.

    As zeros they would teach that they are not expressed, and raise the shares of the others.
    """
    lacking = slide.lacking
    if not lacking.size:
        return slide
    rate = predict_shares(recipe, trained.network, source)[slide.rows] * trained.level
    there = np.delete(rate, lacking, axis=1).sum(axis=1, keepdims=True)
    counts = slide.counts.copy()
    counts[:, lacking] = counts.sum(axis=1, keepdims=True) * rate[:, lacking] / np.maximum(there, np.finfo(float).tiny)
    return replace(slide, counts=counts)


def tuned(
    recipe: NetworkRecipe, trained: TrainedSpotNetwork, slide: MeasuredSpots, source: SlideSource, amount: int
) -> TrainedSpotNetwork:
    """What was trained, tuned to a slide on its measured spots: by default a copy whose network went on training on them."""
    if recipe.tune is not None:
        return recipe.tune(trained, slide, source, amount)
    network = copy.deepcopy(trained.network)
    targets = _with_targets(recipe, slide, source)
    fine_tune(network, targets, epochs=amount, lr=recipe.fine_tune_lr, config=recipe.config)
    return replace(trained, network=network, tuned=amount)


def gains(recipe: NetworkRecipe, trained: TrainedSpotNetwork, slide: MeasuredSpots, source: SlideSource) -> bool:
    """Whether tuning on one half of the measured spots predicts the other half better, both ways round.

    Left-out patients say how far to tune on a new one. Of a patient who trained, or with few prompts, tuning can unlearn more
    than it learns; too few prompts to tell count as gain.
    """
    order = np.random.default_rng((recipe.config.seed, 7)).permutation(slide.counted)
    halves = np.sort(order[::2]), np.sort(order[1::2])
    if min(map(len, halves)) < _FEWEST:
        return True
    gain = 0.0
    for shown, hidden in (halves, halves[::-1]):
        rest = _with_truth(recipe, slide.take(hidden), source)
        once = tuned(recipe, trained, slide.take(shown), source, trained.fine_tune)
        gain += score_slide(once.network, rest) - score_slide(trained.network, rest)
    return gain > 0


def _split(slides: Sequence[MeasuredSpots], config: SpotConfig) -> Split:
    """Slides, or spots of the only one, to train and to validate on; none to validate on where they would be too few."""
    split = inner_split(
        [one.rows.size for one in slides],
        [one.arrays.patient for one in slides],
        [one.arrays.positions[one.rows] for one in slides],
        fraction=config.validation_fraction,
        seed=config.seed,
    )
    parts = {number: _part(slides[number], split, held_out=True) for number in split.validation}
    usable = tuple(number for number, part in parts.items() if part.counted.size >= _FEWEST)
    return replace(split, validation=usable) if usable else Split("none", tuple(range(len(slides))), ())


def _part(slide: MeasuredSpots, split: Split, *, held_out: bool) -> MeasuredSpots:
    """Of a single slide, the spots that are, or are not, held out; else the whole slide."""
    if split.held_out is None:
        return slide
    return slide.take(np.flatnonzero(split.held_out == held_out))


def _stats(recipe: NetworkRecipe, slides: Sequence[MeasuredSpots]) -> FeatureStats | None:
    found = [one.arrays.features for one in slides if one.arrays.features is not None]
    if not recipe.reads_features or not found:
        return None
    widths = {array.shape[1] for array in found}
    if len(widths) > 1:
        msg = f"Training slides have features of different widths: {sorted(widths)}."
        raise ValueError(msg)
    return FeatureStats.of(list(found), widths.pop())


def _new_network(recipe: NetworkRecipe, slides: Sequence[MeasuredSpots]) -> TrainedSpotNetwork:
    """A network at its start."""
    stats = _stats(recipe, slides)
    with own_randomness(recipe.config.seed):
        network = recipe.new_network(slides[0].counts.shape[1], None if stats is None else int(stats.mean.size))
    origin = "" if recipe.pretrain is None else recipe.pretrain(network)
    expression = np.concatenate([recipe.target.expression(one.counts) for one in slides])
    network.initialize(torch.from_numpy(expression.mean(axis=0)))
    return TrainedSpotNetwork(
        network=network,
        stats=stats,
        level=np.ones(slides[0].counts.shape[1], np.float32),
        by_slide=recipe.by_slide,
        origin={"backbone_weights": origin} if origin else {},
    )


def _with_targets(recipe: NetworkRecipe, slide: MeasuredSpots, source: SlideSource) -> MeasuredSource:
    panel = slide.counts.sum(axis=1, dtype=np.float64)
    factors = panel / max(float(np.median(panel)), 1.0)
    targets = SpotTargets(
        torch.from_numpy(recipe.target.expression(slide.counts)),
        torch.from_numpy(np.asarray(slide.counts, dtype=np.float32)),
        torch.from_numpy(factors.astype(np.float32)),
    )
    return MeasuredSource(source, slide.rows, targets)


def _with_truth(recipe: NetworkRecipe, slide: MeasuredSpots, source: SlideSource) -> MeasuredSource:
    """A slide to validate on, at its spots with counts."""
    slide = slide.take(slide.counted)
    truth = depth_free_target(slide.counts, slide.arrays.positions[slide.rows])
    truth[:, slide.lacking] = 0.0  # a constant truth is not scored
    return replace(_with_targets(recipe, slide, source), truth=truth)


def _levels(
    recipe: NetworkRecipe, network: SpotNetwork, slides: Sequence[MeasuredSpots], training: Sequence[MeasuredSource]
) -> NDArray[np.float32]:
    """(G,) from predicted shares in the panel to rates over all genes: counts over predicted counts."""
    counts = np.zeros(slides[0].counts.shape[1])
    predicted = np.zeros_like(counts)
    for slide, one in zip(slides, training, strict=True):
        share = predict_shares(recipe, network, one.source)[slide.rows]
        counts += slide.counts.sum(axis=0)
        predicted += slide.totals @ share
    total = sum(float(slide.totals.sum()) for slide in slides)
    panel = counts.sum() / max(total, 1.0)
    return (panel * level_correction(counts, predicted * panel)).astype(np.float32)


def _tuning(
    recipe: NetworkRecipe,
    trained: TrainedSpotNetwork,
    slides: Sequence[MeasuredSpots],
    validation: Sequence[MeasuredSource],
) -> int:
    """How far to tune on prompts, so that the other spots of left-out slides are predicted best."""
    if recipe.fine_tune is not None:
        return recipe.fine_tune
    if not validation:
        return recipe.untried_tuning
    scores = np.zeros(len(recipe.tuning))
    for number, (slide, check) in enumerate(list(zip(slides, validation, strict=True))[:_MOST_TRIED]):
        rng = np.random.default_rng((recipe.config.seed, 6, number))
        for shown, hidden in _trial_prompts(slide, rng):
            rest = _with_truth(recipe, slide.take(hidden), check.source)
            for place, amount in enumerate(recipe.tuning):
                once = tuned(recipe, trained, slide.take(shown), check.source, amount)
                scores[place] += score_slide(once.network, rest)
    return recipe.tuning[int(np.argmax(scores))]


def _trial_prompts(
    slide: MeasuredSpots, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """MeasuredSpots spots to show and to hide: a tenth of them, scattered and in a block, in both of which prompts come."""
    counted = slide.counted
    n = max(1, round(_TUNING_PROMPTS * counted.size))
    places = slide.arrays.positions[slide.rows[counted]]
    nearest = np.argsort(((places - places[rng.integers(counted.size)]) ** 2).sum(axis=1), kind="stable")
    for chosen in (rng.choice(counted.size, n, replace=False), nearest[:n]):
        shown = np.sort(counted[chosen])
        yield shown, np.setdiff1d(counted, shown)
