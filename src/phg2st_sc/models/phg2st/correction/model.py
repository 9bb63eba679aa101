"""The network of the default model: what a linear prediction misses. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ...._arrays import SlideArrays
from ....linear import EpisodeSource, LinearOutput
from ....nn import CORRECTION, FeatureStats, NetworkConfig, SlideTensors, own_randomness, slide_tensors
from ....training import EpisodeConfig, FitResult, Machine, Split, TrainedNetwork, device_of, training_record
from .draws import Episode, EpisodeSlide, fixed_episodes
from .kriging_head import component_groups
from .module import corrections, train_correction
from .network import CorrectionNetwork, Evidence, SlideTokens
from .split import episode_split
from .weights import Checked, trusted

Array = NDArray[np.float64]
_DRAWS = (1, 2)
"""Draws of validation prompts on which trust rests; that of early stopping is another."""


@dataclass(frozen=True, eq=False)
class EncodedCorrection:
    """Image tokens of a slide, with its image and as if it had none; ``None`` where they would not be trusted."""

    has_image: bool
    imaged: SlideTokens | None
    bare: SlideTokens | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Correction(TrainedNetwork[CorrectionNetwork]):
    """A trained correction, and how far it is trusted.

    Attributes
    ----------
    scale
        (k,) standard deviation of the signal in each component.
    alpha
        (k,) weights of the correction on slides without an image; 0 where left-out patients do not gain.
    alpha_image
        (k,) weights with an image.
    n_neighbors, engine
        Of the hypergraphs.
    """

    network: CorrectionNetwork
    stats: FeatureStats
    scale: Annotated[Array, "K", "> 0"]
    alpha: Annotated[Array, "K", "0 to 1"]
    alpha_image: Annotated[Array, "K", "0 to 1"]
    n_neighbors: Annotated[int, "> 0"] = 4
    engine: str = "auto"

    @classmethod
    def train(
        cls,
        source: EpisodeSource,
        *,
        network: Mapping[str, Any] | None = None,
        training: EpisodeConfig | None = None,
        machine: Machine | None = None,
        n_neighbors: int = 4,
        engine: str = "auto",
    ) -> Self:
        """Train on all slides but those of left-out patients, which decide when to stop and how far to trust.

        Parameters
        ----------
        source
            Training slides under the linear part.
        network
            Changes of the network's sizes and options, by name.
        training
            Settings, among them the seed.
        machine
            Where to run.
        n_neighbors, engine
            Of the hypergraphs.
        """
        training, machine = training or EpisodeConfig(), machine or Machine()
        arrays = list(source.arrays)
        split = episode_split(arrays, fraction=training.validation_fraction, seed=training.seed)
        kept = [arrays[i] for i in split.train]
        config = _config(arrays, len(source.scale), network or {})
        stats = FeatureStats.of([a.features for a in kept if a.features is not None], config.n_features)
        with own_randomness(training.seed):
            net = CorrectionNetwork(config, torch.from_numpy(np.asarray(source.scale)))
        net.initialize(torch.from_numpy(stats.mean), torch.from_numpy(stats.scale))
        off = np.zeros(len(source.scale))
        scale = np.asarray(source.scale, dtype=np.float64)
        new = cls(
            network=net,
            stats=stats,
            scale=scale,
            alpha=off,
            alpha_image=off,
            n_neighbors=n_neighbors,
            engine=engine,
        )
        episodes = _Episodes(source, new)
        learned, checked = _slides(arrays, split)
        result = train_correction(net, learned, checked, episodes, training, machine)
        return new._trusting(episodes, checked, split, result, training)

    def _trusting(
        self,
        episodes: _Episodes,
        checked: Sequence[EpisodeSlide],
        split: Split,
        result: FitResult,
        training: EpisodeConfig,
    ) -> Self:
        """The same with weights, with an image and without."""
        groups = component_groups(torch.from_numpy(self.scale)).numpy()
        bare = [replace(slide, imaged=False) for slide in checked]
        imaged = [slide for slide in checked if slide.imaged]
        trust: dict[str, Any] = {}
        alphas = []
        for name, slides in (("bare", bare), ("imaged", imaged)):
            found = [one for draw in _DRAWS for one in fixed_episodes(slides, episodes, training, draw=draw)]
            alpha, gain, error = trusted(_checked(self.network, found), groups)
            alphas.append(alpha)
            if found:
                trust[name] = {"gain": gain, "error": error if np.isfinite(error) else None, "alpha": alpha.tolist()}
        names = [slide.name for slide in episodes.source.arrays]
        record = {**training_record(result, split, names, self.network, training), "trust": trust}
        return replace(self, alpha=alphas[0], alpha_image=alphas[1], record=record)

    @property
    def is_trusted(self) -> bool:
        """Whether left-out patients gain by it anywhere."""
        return bool(self.alpha.any() or self.alpha_image.any())

    def encode(
        self, slide: SlideArrays, *, accelerator: str = "cpu", devices: int | str | Sequence[int] = 1
    ) -> EncodedCorrection:
        """Hypergraphs and image tokens of a slide: compute once, predict for many draws of prompts."""
        device = device_of(accelerator, devices)
        self.network.to(device).eval()
        has_image = slide.features is not None

        def tokens(*, image: bool) -> SlideTokens:
            with torch.inference_mode():
                return self.network.tokens(self.tensors(slide, image=image).to(device))

        imaged = tokens(image=True) if has_image and self.alpha_image.any() else None
        return EncodedCorrection(has_image, imaged, tokens(image=False) if self.alpha.any() else None)

    def predict(self, encoded: EncodedCorrection, linear: LinearOutput, *, image: bool = True) -> Array:
        """(n, k) what to add to the linear prediction; zeros where the correction is not trusted, or without prompts.

        Of an imaged slide, ``image=False`` corrects a linear prediction that did without the image.
        """
        imaged = image and encoded.has_image
        tokens, alpha = (encoded.imaged, self.alpha_image) if imaged else (encoded.bare, self.alpha)
        if tokens is None or len(linear.index) == 0:
            return np.zeros_like(linear.predicted)
        evidence = evidence_of(linear, self.scale).to(tokens.image.positions.device)
        with torch.inference_mode():
            correction = self.network.correct(tokens, evidence).double().cpu().numpy()
        return alpha * self.scale * correction

    def tensors(self, slide: SlideArrays, *, image: bool) -> SlideTensors:
        """Tensors of a slide, with its image or as if it had none."""
        if not image:
            slide = replace(slide, features=None, context_index=None, tiles=None)
        return slide_tensors(
            slide,
            self.network.config,
            self.stats,
            n_neighbors=self.n_neighbors,
            engine=self.engine,
            needs_context=False,
        )


class _Episodes:
    """Makes tensors of the episodes of a source; hypergraphs are built once per slide."""

    def __init__(self, source: EpisodeSource, correction: Correction) -> None:
        self.source, self.correction = source, correction
        self._tensors: dict[tuple[int, bool], SlideTensors] = {}

    def __call__(self, slide: EpisodeSlide, index: NDArray[np.int64], image: bool) -> Episode:
        scale = self.correction.scale
        drawn = self.source.episode(slide.number, index, image=image)
        linear = drawn.linear
        noise = drawn.truth_noise[:, None] / (max(linear.depth, 1e-12) * scale**2)
        weight = np.where(slide.scored[:, None] & np.isfinite(noise), 1.0 / (1.0 + noise), 0.0)
        weight[index] = 0.0
        truth = np.where(weight > 0.0, drawn.truth / scale, 0.0)
        return Episode(
            self._slide(slide.number, image),
            evidence_of(linear, scale),
            torch.from_numpy(truth.astype(np.float32)),
            torch.from_numpy(weight.astype(np.float32)),
            slide.number,
        )

    def _slide(self, number: int, image: bool) -> SlideTensors:
        key = (number, image)
        if key not in self._tensors:
            self._tensors[key] = self.correction.tensors(self.source.arrays[number], image=image)
        return self._tensors[key]


def evidence_of(linear: LinearOutput, scale: Array) -> Evidence:
    """Tensors of what the linear part knows, in standard deviations of the components."""
    noise = linear.noise[:, None] / (max(linear.depth, 1e-12) * scale**2)

    def tensor(x: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(np.asarray(x, dtype=np.float32))

    return Evidence(
        index=torch.from_numpy(np.asarray(linear.index)),
        observed=tensor(linear.observed / scale),
        noise=tensor(noise),
        left_out=tensor(linear.left_out / scale),
        predicted=tensor(linear.predicted / scale),
        spread=tensor(linear.spread),
        depth=torch.tensor(float(linear.depth)),
    )


def _config(arrays: Sequence[SlideArrays], n_components: int, changes: Mapping[str, Any]) -> NetworkConfig:
    """Sizes; the context branch is there where some slide has context."""
    sizes = {**CORRECTION, **changes}
    widths = {a.features.shape[1] for a in arrays if a.features is not None}
    if len(widths) > 1:
        msg = f"Training slides have features of different widths: {sorted(widths)}."
        raise ValueError(msg)
    if not any(a.tiles is not None for a in arrays):
        sizes = {**sizes, "branches": "spot"}
    n_features = widths.pop() if widths else sizes["width"]
    return NetworkConfig.preset("default", **{**sizes, "n_features": n_features, "n_genes": n_components})


def _slides(arrays: Sequence[SlideArrays], split: Split) -> tuple[list[EpisodeSlide], list[EpisodeSlide]]:
    """Slides to train and to validate on; of a single slide, the spots held out are only scored in validation."""

    def made(i: int, scored: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> EpisodeSlide:
        return EpisodeSlide(i, arrays[i].positions, allowed, scored, arrays[i].features is not None)

    def everywhere(i: int) -> NDArray[np.bool_]:
        return np.ones(arrays[i].n_spots, dtype=bool)

    if split.held_out is not None:
        may_show = ~split.held_out
        learned = [made(i, may_show, may_show) for i in split.train]
        return learned, [made(i, split.held_out, may_show) for i in split.validation]
    return (
        [made(i, everywhere(i), everywhere(i)) for i in split.train],
        [made(i, everywhere(i), everywhere(i)) for i in split.validation],
    )


def _checked(network: CorrectionNetwork, episodes: Sequence[Episode]) -> list[Checked]:
    found = corrections(network, episodes)
    return [
        Checked(
            episode.evidence.predicted.double().numpy(),
            correction.double().numpy(),
            episode.truth.double().numpy(),
            episode.weight.double().numpy(),
            episode.slide.positions.double().numpy(),
            episode.number,
        )
        for episode, correction in zip(episodes, found, strict=True)
    ]
