"""Train and tune the networks of :class:`NetworkMethod`."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..._arrays import SlideArrays
from ...metrics import depth_free_target
from ...nn import FeatureStats, own_randomness
from ...training import Machine, Split, SpotConfig, device_of, inner_split, level_correction, training_record
from ._method import SLIDE, NetworkMethod
from ._slides import PatchSize, SlideSource, check_width, slide_source
from ._spot_data import MeasuredSource
from ._spot_module import fine_tune, score_slide, train_spot_network
from ._spot_network import SpotNetwork, SpotTargets

_TUNING_PROMPTS = 0.1
_MOST_TRIED = 3
_FEWEST = 3
"""Spots with counts that a slide needs to be validated on: of one or two no correlation tells anything."""
_FEWEST_OF_OWN = 10
"""Spots from which on a slide has a mean and scale of its own."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A slide of which some spots were measured.

    Attributes
    ----------
    arrays
        Image side of the slide.
    rows
        (m,) measured spots.
    counts
        (m, G) over the panel.
    totals
        (m,) over all genes.
    lacking
        Genes of the panel that were not measured: neither taught nor scored.
    """

    arrays: SlideArrays
    rows: NDArray[np.int64]
    counts: NDArray[np.float32]
    totals: NDArray[np.float64]
    lacking: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def take(self, keep: NDArray[np.int64]) -> Measured:
        """Some of the measured spots."""
        return replace(self, rows=self.rows[keep], counts=self.counts[keep], totals=self.totals[keep])


@dataclass(eq=False)
class Fitted:
    """A trained network and what is needed to use it.

    Attributes
    ----------
    network
        In evaluation mode.
    stats
        Of the training features; ``None`` for a network that reads pictures only.
    level
        (G,) factor from the predicted share in the panel to the rate over all genes.
    by_slide
        Whether features are standardised within each slide.
    fine_tune
        How far to tune on the prompts of a slide.
    tuned
        How far it was.
    origin
        Where the weights of the image encoder come from.
    record
        How training went.
    extra
        Further arrays of a method.
    """

    network: SpotNetwork
    stats: FeatureStats | None
    level: NDArray[np.float32]
    by_slide: bool = True
    fine_tune: int = 0
    tuned: int = 0
    origin: dict[str, str] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)

    def source(self, slide: SlideArrays, patch: PatchSize | None) -> SlideSource:
        """Tensors of a slide."""
        stats = self.stats
        if stats is not None and self.by_slide and slide.features is not None and slide.n_spots >= _FEWEST_OF_OWN:
            check_width(slide, stats.mean.size)
            stats = FeatureStats.of([slide.features], stats.mean.size)
        return slide_source(slide, self.network, stats, patch)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Settings and arrays to keep."""
        settings = {"network": self.network.config.as_dict(), "fine_tune": self.fine_tune, "origin": self.origin}
        settings["by_slide"] = self.by_slide
        arrays = {f"network.{name}": value.cpu().numpy() for name, value in self.network.state_dict().items()}
        if self.stats is not None:
            arrays |= {"features.mean": self.stats.mean, "features.scale": self.stats.scale}
        return settings, {**arrays, "level": self.level, **{f"extra.{k}": v for k, v in self.extra.items()}}

    @classmethod
    def restore(cls, network: SpotNetwork, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Fitted:
        """What :meth:`state` returned, with the network's weights put into ``network``."""
        network.load_state_dict({k: torch.from_numpy(v) for k, v in _under("network.", arrays).items()})
        features = _under("features.", arrays)
        return cls(
            network.eval(),
            FeatureStats(features["mean"], features["scale"]) if features else None,
            arrays["level"],
            settings["by_slide"],
            settings["fine_tune"],
            origin=settings["origin"],
            record=settings["record"],
            extra=_under("extra.", arrays),
        )


def _under(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def fit(
    method: NetworkMethod, slides: Sequence[Measured], config: SpotConfig, machine: Machine
) -> tuple[Fitted, list[SlideSource]]:
    """Train a new network on measured spots, all but those that decide when to stop; returns the slides' tensors too."""
    split = _split(slides, config)
    if not split.validation:
        config = replace(config, validation_fraction=0.0)
    kept = [_part(slides[i], split, held_out=False) for i in split.train]
    checks = [_part(slides[i], split, held_out=True) for i in split.validation]
    stats = _stats(kept, method.reads_patches and not method.uses_context)
    network, origin = _new_network(method, kept, config.seed, stats)
    ones = np.ones(kept[0].counts.shape[1], np.float32)
    fitted = Fitted(network, stats, ones, by_slide=method.standardize == SLIDE, origin=origin)
    patch = method.patch_size(network)
    sources = {id(one.arrays): fitted.source(one.arrays, patch) for one in slides}
    training = [_with_targets(method, one, sources[id(one.arrays)]) for one in kept]
    validation = [_with_truth(method, one, sources[id(one.arrays)]) for one in checks]
    method._prepare(fitted, training)
    result = train_spot_network(network, training, validation, config, machine)
    network.to(device_of(machine.accelerator, machine.devices))
    fitted.level = _levels(method, fitted, kept, training)
    fitted.fine_tune = _tuning(method, fitted, checks, validation, config)
    facts = training_record(result, split, [one.arrays.name for one in slides], network, config)
    fitted.record = {"training": {**facts, "fine_tune": fitted.fine_tune}, **origin}
    if patch is not None:
        fitted.record["pictures"] = {"edge_um": float(patch.edge_um), "size_px": int(patch.size)}
    return fitted, list(sources.values())


def completed(method: NetworkMethod, fitted: Fitted, slide: Measured, source: SlideSource) -> Measured:
    """The slide with counts of the genes that it lacks as the network expects them beside the others.

    As zeros they would teach that they are not expressed, and raise the shares of the others.
    """
    lacking = slide.lacking
    if not lacking.size:
        return slide
    rate = method._share(method._predict_output(fitted, source)[slide.rows]) * fitted.level
    there = np.delete(rate, lacking, axis=1).sum(axis=1, keepdims=True)
    counts = slide.counts.copy()
    counts[:, lacking] = counts.sum(axis=1, keepdims=True) * rate[:, lacking] / np.maximum(there, np.finfo(float).tiny)
    return replace(slide, counts=counts)


def tuned(method: NetworkMethod, fitted: Fitted, slide: Measured, source: SlideSource, epochs: int) -> Fitted:
    """A copy whose network went on training on the measured spots of one slide."""
    network = copy.deepcopy(fitted.network)
    targets = _with_targets(method, slide, source)
    fine_tune(network, targets, epochs=epochs, lr=method.fine_tune_lr, config=method.spot_config())
    return replace(fitted, network=network, tuned=epochs)


def gains(method: NetworkMethod, fitted: Fitted, slide: Measured, source: SlideSource) -> bool:
    """Whether tuning on one half of the measured spots predicts the other half better, both ways round.

    Left-out patients say how far to tune on a new one. Of a patient who trained, or with few prompts, tuning can unlearn more
    than it learns; too few prompts to tell count as gain.
    """
    counted = np.flatnonzero(slide.counts.sum(axis=1) > 0)
    order = np.random.default_rng((method.seed, 7)).permutation(counted)
    halves = np.sort(order[::2]), np.sort(order[1::2])
    if min(map(len, halves)) < _FEWEST:
        return True
    gain = 0.0
    for shown, hidden in (halves, halves[::-1]):
        rest = _with_truth(method, slide.take(hidden), source)
        once = method._tune(fitted, slide.take(shown), source, fitted.fine_tune)
        gain += score_slide(once.network, rest) - score_slide(fitted.network, rest)
    return gain > 0


def _split(slides: Sequence[Measured], config: SpotConfig) -> Split:
    """Slides, or spots of the only one, to train and to validate on; none to validate on where they would be too few."""
    split = inner_split(
        [one.rows.size for one in slides],
        [one.arrays.patient for one in slides],
        [one.arrays.positions[one.rows] for one in slides],
        fraction=config.validation_fraction,
        seed=config.seed,
    )
    parts = {number: _part(slides[number], split, held_out=True) for number in split.validation}
    usable = tuple(number for number, part in parts.items() if (part.counts.sum(axis=1) > 0).sum() >= _FEWEST)
    return replace(split, validation=usable) if usable else Split("none", tuple(range(len(slides))), ())


def _part(slide: Measured, split: Split, *, held_out: bool) -> Measured:
    """Of a single slide, the spots that are, or are not, held out; else the whole slide."""
    if split.held_out is None:
        return slide
    return slide.take(np.flatnonzero(split.held_out == held_out))


def _stats(slides: Sequence[Measured], no_features: bool) -> FeatureStats | None:
    found = [one.arrays.features for one in slides if one.arrays.features is not None]
    if no_features or not found:
        return None
    widths = {array.shape[1] for array in found}
    if len(widths) > 1:
        msg = f"training slides have features of different widths: {sorted(widths)}"
        raise ValueError(msg)
    return FeatureStats.of(list(found), widths.pop())


def _new_network(
    method: NetworkMethod, slides: Sequence[Measured], seed: int, stats: FeatureStats | None
) -> tuple[SpotNetwork, dict[str, str]]:
    with own_randomness(seed):
        network = method.new_network(slides[0].counts.shape[1], None if stats is None else int(stats.mean.size))
    origin = method._pretrain(network) if method.reads_patches else ""
    expression = np.concatenate([method._expression(one.counts, one.totals) for one in slides])
    network.initialize(torch.from_numpy(expression.mean(axis=0)))
    return network, {"backbone_weights": origin} if origin else {}


def _with_targets(method: NetworkMethod, slide: Measured, source: SlideSource) -> MeasuredSource:
    panel = slide.counts.sum(axis=1, dtype=np.float64)
    factors = panel / max(float(np.median(panel)), 1.0)
    targets = SpotTargets(
        torch.from_numpy(method._expression(slide.counts, slide.totals)),
        torch.from_numpy(np.asarray(slide.counts, dtype=np.float32)),
        torch.from_numpy(factors.astype(np.float32)),
    )
    return MeasuredSource(source, slide.rows, targets)


def _with_truth(method: NetworkMethod, slide: Measured, source: SlideSource) -> MeasuredSource:
    """A slide to validate on, at its spots with counts."""
    slide = slide.take(np.flatnonzero(slide.counts.sum(axis=1) > 0))
    truth = depth_free_target(slide.counts, slide.arrays.positions[slide.rows])
    truth[:, slide.lacking] = 0.0  # a constant truth is not scored
    return replace(_with_targets(method, slide, source), truth=truth)


def _levels(
    method: NetworkMethod, fitted: Fitted, slides: Sequence[Measured], training: Sequence[MeasuredSource]
) -> NDArray[np.float32]:
    """(G,) from predicted shares in the panel to rates over all genes: counts over predicted counts."""
    counts = np.zeros(slides[0].counts.shape[1])
    predicted = np.zeros_like(counts)
    for slide, one in zip(slides, training, strict=True):
        share = method._share(method._predict_output(fitted, one.source)[slide.rows])  # type: ignore[arg-type]
        counts += slide.counts.sum(axis=0)
        predicted += slide.totals @ share
    total = sum(float(slide.totals.sum()) for slide in slides)
    panel = counts.sum() / max(total, 1.0)
    return (panel * level_correction(counts, predicted * panel)).astype(np.float32)


def _tuning(
    method: NetworkMethod,
    fitted: Fitted,
    slides: Sequence[Measured],
    validation: Sequence[MeasuredSource],
    config: SpotConfig,
) -> int:
    """How far to tune on prompts, so that the other spots of left-out slides are predicted best."""
    if method.fine_tune is not None:
        return method.fine_tune
    if not validation:
        return method.untried_tuning
    scores = np.zeros(len(method.tuning))
    for number, (slide, check) in enumerate(list(zip(slides, validation, strict=True))[:_MOST_TRIED]):
        rng = np.random.default_rng((config.seed, 6, number))
        for shown, hidden in _trial_prompts(slide, rng):
            rest = _with_truth(method, slide.take(hidden), check.source)  # type: ignore[arg-type]
            for place, amount in enumerate(method.tuning):
                once = method._tune(fitted, slide.take(shown), check.source, amount)  # type: ignore[arg-type]
                scores[place] += score_slide(once.network, rest)
    return method.tuning[int(np.argmax(scores))]


def _trial_prompts(slide: Measured, rng: np.random.Generator) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Measured spots to show and to hide: a tenth of them, scattered and in a block, in both of which prompts come."""
    counted = np.flatnonzero(slide.counts.sum(axis=1) > 0)
    n = max(1, round(_TUNING_PROMPTS * counted.size))
    places = slide.arrays.positions[slide.rows[counted]]
    nearest = np.argsort(((places - places[rng.integers(counted.size)]) ** 2).sum(axis=1), kind="stable")
    for chosen in (rng.choice(counted.size, n, replace=False), nearest[:n]):
        shown = np.sort(counted[chosen])
        yield shown, np.setdiff1d(counted, shown)
