"""The network as a member of the default model's stack: trained, judged on left-out patients, averaged in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...._arrays import SlideArrays
from ....linear import EpisodeSource, Measured, Places, even_subset
from ....nn import MEMBER, NetworkConfig, own_randomness
from ....training import EpisodeConfig, FitResult, Machine, Split, TrainedNetwork, device_of, training_record
from .draws import BLOCK, PATTERNS, SCATTERED, Episode, EpisodeSlide, draw_prompts, pattern_of, slides_to_draw
from .kriging_head import component_groups
from .module import train_committee
from .network import Committee
from .tensors import Evidence, SlideInput
from .weights import DEFAULT_WEIGHTS, LARGEST_SEEN, WITHOUT_FEATURES, Judged, alike, learn_weights

Array = NDArray[np.float64]

_FOLDS = 3
"""Groups of patients that one of the networks each never sees."""
_SEEDS = 2
"""Networks where patients are too few to leave some out."""
_FEWEST_PATIENTS = 3
"""From which on each network leaves some out."""
_FEWEST_IMAGED = 2
"""Patients with images from which on networks look at image features: with one, they learn that one by heart."""
_JUDGED = 12
"""Slides that are judged, at most."""
_MOST_PROMPTS = 1000
"""Prompts beyond which the network has nothing to add, and costs much."""
_FEWEST_PROMPTS = 3


@dataclass(frozen=True, eq=False)
class EncodedSlide:
    """A slide with an image, whose tensors are made when the network is first asked: of many prompts it never is.

    Attributes
    ----------
    arrays
        The slide.
    tokens
        Whether the network looks at its features.
    engine
        Of its hypergraph.
    places
        Its spots as the linear part sees them, image included, where that is known.
    """

    arrays: SlideArrays
    tokens: bool
    engine: str
    places: Places | None = None

    @cached_property
    def input(self) -> SlideInput:
        """Tensors of the slide."""
        return SlideInput.of(self.arrays, image=True, tokens=self.tokens, engine=self.engine, places=self.places)


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkMember(TrainedNetwork[Committee]):
    """Trained networks, and how far they are averaged in.

    Attributes
    ----------
    scale
        (k,) standard deviation of the signal in each component.
    scattered, block
        (k,) weights of the network where prompts are scattered over the slide, and where they are a block.
    engine
        Of the hypergraphs.
    """

    network: Committee
    scale: Annotated[Array, "K", "> 0"]
    scattered: Annotated[Array, "K", "0 to 1"]
    block: Annotated[Array, "K", "0 to 1"]
    engine: str = "auto"

    @classmethod
    def train(
        cls,
        source: EpisodeSource,
        *,
        network: Mapping[str, Any] | None = None,
        training: EpisodeConfig | None = None,
        machine: Machine | None = None,
        engine: str = "auto",
    ) -> Self:
        """Train several networks, each without some of the patients, who decide how far it is trusted.

        Parameters
        ----------
        source
            Training slides.
        network
            Changes of the networks' sizes, by name.
        training
            Settings, among them the seed.
        machine
            Where to run.
        engine
            Of the hypergraphs.
        """
        training, machine = training or EpisodeConfig(), machine or Machine()
        arrays, scale = list(source.arrays), np.asarray(source.scale, dtype=np.float64)
        folds = patient_folds([a.patient or a.name for a in arrays], seed=training.seed)
        config = _config(arrays, len(scale), network or {})
        with own_randomness(training.seed):
            committee = Committee(config, torch.from_numpy(scale), len(folds))
        off = np.zeros(len(scale))
        new = cls(network=committee, scale=scale, scattered=off, block=off, engine=engine)
        make = _Episodes(source, new)
        drawn = slides_to_draw(
            [a.positions for a in arrays],
            [make.slide(i).totals > 0 for i in range(len(arrays))],
            [a.features is not None for a in arrays],
        )
        own = [[slide for slide in drawn if slide.number not in left_out] or drawn for left_out in folds]
        result = train_committee(committee, own, make, training, machine)
        return new._trusting(source, make, drawn, folds, result, training)

    def _trusting(
        self,
        source: EpisodeSource,
        make: _Episodes,
        drawn: Sequence[EpisodeSlide],
        folds: Sequence[frozenset[int]],
        result: FitResult,
        training: EpisodeConfig,
    ) -> Self:
        """The same with weights."""
        judged = [one for one in _judged(self.network, source, make, drawn, folds, training) if one.weight.any()]
        groups = component_groups(torch.from_numpy(self.scale)).numpy()
        default = DEFAULT_WEIGHTS if self.network.config.config.n_features else WITHOUT_FEATURES
        weights = learn_weights(judged, groups, default)
        names = [slide.name for slide in source.arrays]
        everyone = Split("patient", tuple(range(len(names))), tuple(sorted({one for fold in folds for one in fold})))
        record = {
            **training_record(result, everyone, names, self.network, training),
            "networks": len(folds),
            "weights": {name: [round(float(w), 4) for w in weight] for name, weight in weights.items()},
            "judged_on": sorted({one.patient for one in judged}),
        }
        return replace(self, scattered=weights[SCATTERED], block=weights[BLOCK], record=record)

    @property
    def is_trusted(self) -> bool:
        """Whether it has a say anywhere."""
        return bool(self.scattered.any() or self.block.any())

    def encode(self, slide: SlideArrays, places: Places | None = None) -> EncodedSlide | None:
        """Hypergraph and image side of a slide; ``None`` without an image: there the network has no say.

        ``places`` are its spots as the linear part sees them, which saves looking at the image again.
        """
        if slide.features is None:
            return None
        width = self.network.config.config.n_features
        if width and 2 * slide.features.shape[1] != width:
            msg = (
                f"Slide {slide.name!r} has {slide.features.shape[1]} features per spot, the network takes {width // 2}."
            )
            raise ValueError(msg)
        return EncodedSlide(slide, width > 0, self.engine, places)

    def input(self, slide: SlideArrays, *, image: bool) -> SlideInput:
        """Tensors of a slide, with its image or as if it had none."""
        tokens = self.network.config.config.n_features > 0
        return SlideInput.of(slide, image=image, tokens=tokens, engine=self.engine)

    def predict(
        self,
        slide: EncodedSlide,
        measured: Measured,
        linear: Array,
        *,
        seen: bool = False,
        accelerator: str = "cpu",
        devices: int | str | Sequence[int] = 1,
    ) -> Array:
        """(n, k) what averaging the network in adds to a linear prediction (n, k); zeros where it has no say.

        Parameters
        ----------
        slide
            Of :meth:`encode`.
        measured
            The prompts.
        linear
            Prediction in gene components.
        seen
            Whether other sections of the patient are among the training slides.
        accelerator, devices
            Where to predict.
        """
        positions = slide.arrays.positions
        if not _FEWEST_PROMPTS <= measured.index.size <= min(_MOST_PROMPTS, len(positions) - 1):
            return np.zeros_like(linear)
        nearest, _ = cKDTree(positions[measured.index]).query(positions)
        weight = self.scattered if pattern_of(nearest, measured.index.size) == SCATTERED else self.block
        weight = np.minimum(weight, LARGEST_SEEN) if seen else weight
        if not weight.any():
            return np.zeros_like(linear)
        evidence = Evidence.of(measured.index, measured.columns, measured.noise, measured.depth, self.scale)
        device = device_of(accelerator, devices)
        self.network.to(device).eval()
        with torch.inference_mode():
            made = self.network(slide.input.to(device), evidence.to(device)).double().cpu().numpy()
        return weight * (alike(made, linear) - linear)


class _Episodes:
    """Makes episodes of training slides; hypergraphs are built once per slide."""

    def __init__(self, source: EpisodeSource, member: NetworkMember) -> None:
        self.source, self.member = source, member
        self._inputs: dict[tuple[int, bool], SlideInput] = {}

    def slide(self, number: int) -> Any:
        """The slide as it was measured."""
        return self.source.slides[number]

    def __call__(self, number: int, index: NDArray[np.int64], image: bool) -> Episode:
        scale = self.member.scale
        drawn = self.source.episode(number, index)
        shown = drawn.prompts
        noise = drawn.truth_noise[:, None] / (max(shown.depth, 1e-12) * scale**2)
        weight = np.where(np.isfinite(noise), 1.0 / (1.0 + noise), 0.0)
        truth = np.where(weight > 0.0, drawn.truth / scale, 0.0)
        return Episode(
            self._input(number, image),
            Evidence.of(shown.index, shown.columns, shown.noise, shown.depth, scale),
            torch.from_numpy(truth.astype(np.float32)),
            torch.from_numpy(weight.astype(np.float32)),
        )

    def _input(self, number: int, image: bool) -> SlideInput:
        key = (number, image)
        if key not in self._inputs:
            self._inputs[key] = self.member.input(self.source.arrays[number], image=image)
        return self._inputs[key]


def patient_folds(patients: Sequence[str], *, seed: int) -> list[frozenset[int]]:
    """Slides that each network never sees: those of a third of the patients; none where patients are few."""
    names = list(dict.fromkeys(patients))
    if len(names) < _FEWEST_PATIENTS:
        return [frozenset()] * _SEEDS
    order = np.random.default_rng((seed, 9)).permutation(len(names))
    parts = [{names[i] for i in order[fold::_FOLDS]} for fold in range(_FOLDS)]
    return [frozenset(i for i, patient in enumerate(patients) if patient in part) for part in parts]


def _judged(
    committee: Committee,
    source: EpisodeSource,
    make: _Episodes,
    drawn: Sequence[EpisodeSlide],
    folds: Sequence[frozenset[int]],
    training: EpisodeConfig,
) -> list[Judged]:
    """Slides with an image under prompts of both patterns, by networks and knowledge that never saw their patient."""
    left_out = [slide for slide in drawn if slide.imaged and any(slide.number in fold for fold in folds)]
    found = []
    committee.cpu().eval()
    for place in even_subset(len(left_out), _JUDGED):
        slide = left_out[place]
        network = next(net for net, fold in zip(committee.networks, folds, strict=True) if slide.number in fold)
        for number, pattern in enumerate(PATTERNS):
            rng = np.random.default_rng((training.seed, 5, slide.number, number))
            index = draw_prompts(slide, training.validation_prompts, pattern, training.most_prompts, rng)
            episode = make(slide.number, index, True)
            with torch.inference_mode():
                made = network(episode.slide, episode.evidence)[0].double().numpy()
            linear = source.linear(slide.number, index) / make.member.scale
            weight = episode.weight.double().numpy().copy()
            weight[index] = 0.0
            arrays = source.arrays[slide.number]
            found.append(
                Judged(linear, made, episode.truth.double().numpy(), weight, arrays.patient or arrays.name, pattern)
            )
    return found


def _config(arrays: Sequence[SlideArrays], n_components: int, changes: Mapping[str, Any]) -> NetworkConfig:
    """Sizes; image features are looked at where several patients have them."""
    widths = {a.features.shape[1] for a in arrays if a.features is not None}
    if len(widths) > 1:
        msg = f"Training slides have features of different widths: {sorted(widths)}."
        raise ValueError(msg)
    imaged = {a.patient or a.name for a in arrays if a.features is not None}
    n_features = 2 * widths.pop() if len(imaged) >= _FEWEST_IMAGED else 0
    return NetworkConfig.preset("default", **{**MEMBER, **changes, "n_features": n_features, "n_genes": n_components})
