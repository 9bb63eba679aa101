"""Base of the published networks that predict spots from the image alone."""

from __future__ import annotations

import copy
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide, log_expression
from ..._docs import documented
from ..._state import Later
from ..._text import quoted
from ..._warn import warn_user
from ...linear import check_training
from .._limits import AtLeast, Positive
from .._network_settings import NetworkEstimator, check_nested
from ._recipe import MeasuredSpots, NaturalLog, NetworkRecipe

if TYPE_CHECKING:
    from ...training import SpotConfig
    from ._network import SpotNetwork
    from ._slides import PatchSize, SlideSource
    from ._trained import TrainedSpotNetwork

Inputs = Literal["features", "patches"]
FEATURES, PATCHES = "features", "patches"
SLIDE, COHORT = "slide", "cohort"
_MOST_TUNING = 10_000
_OF_DATA = frozenset({"n_genes", "n_features", "n_context"})


@dataclass(frozen=True)
class Preset:
    """Named settings of a method.

    Attributes
    ----------
    inputs
        What the network looks at.
    network
        Sizes, by the names of its configuration.
    training
        By the names of :class:`phg2st_sc.training.SpotConfig`.
    patch_um
        Side of the pictures in µm.
    """

    inputs: Inputs = "features"
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    patch_um: float = 112.0


def _trained() -> type[TrainedSpotNetwork]:
    from ._trained import TrainedSpotNetwork

    return TrainedSpotNetwork


@documented
class NetworkMethod(NetworkEstimator):
    """A published network that predicts spots from the image; prompts only tune it.

    A method says what its network is, its presets and its target. Everything else is here. Trained on a
    cohort, the network is tuned to each new slide on its prompts, as the paper of PHG2ST did with the methods that it
    compared; how long is decided on the training slides that were left out to decide when to stop, and whether on the prompts
    themselves. Without training it learns from the prompts of the slide alone.

    In every preset, also the published ones, embeddings are standardised within each slide, and a factor per gene, learned on
    the training slides, brings predictions from means of logarithms to the level of rates. Publications do neither.

    Parameters
    ----------
    {published_settings}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> method = phg2st.models.HisToGene(max_epochs=20, network={"width": 64}, fine_tune=0)
    >>> isinstance(method, phg2st.models.NetworkMethod), sorted(method.presets)
    (True, ['default', 'paper'])
    """

    kind = "published"
    limits: ClassVar = {"patch_um": Positive(), "fine_tune": AtLeast(0, _MOST_TUNING), "fine_tune_lr": Positive()}
    renamed: ClassVar = {"standardise": "standardize"}
    learns: ClassVar = {"_trained": Later(_trained)}
    always_learned = ("_trained",)
    trains_alone = True
    presets: ClassVar[Mapping[str, Preset]]
    preset: str
    patch_um: float | None
    standardize: str
    fine_tune: int | None
    fine_tune_lr: float
    min_prompts = 4
    slow_imports = ("phg2st_sc.models.published._fit",)
    needs_image = True
    uses_image = True
    target: ClassVar[NaturalLog] = NaturalLog()
    """What the network predicts."""
    uses_context = False
    """Whether the network looks at the tiles around a spot."""
    tuning: ClassVar[tuple[int, ...]] = (0, 5, 20, 60, 150)
    """Values of ``fine_tune`` that left-out slides choose from."""
    untried_tuning: ClassVar[int] = 5
    """``fine_tune`` where no slide was left out."""

    def __init__(
        self,
        *,
        preset: str = "default",
        inputs: str | None = None,
        weights: str | os.PathLike[str] = "auto",
        patch_um: float | None = None,
        standardize: str = "slide",
        fine_tune: int | None = None,
        fine_tune_lr: float = 1e-4,
        max_epochs: int | None = None,
        patience: int | None = None,
        lr: float | None = None,
        validation_fraction: float | None = None,
        batch_size: int | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        devices: int | str | Sequence[int] = 1,
        precision: str | None = None,
        strategy: str = "auto",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self._keep(locals())
        self.weights = os.fspath(weights)
        chosen = self._preset(preset)
        _check_choice("standardize", standardize, (SLIDE, COHORT))
        self.reads_patches = _check_choice("inputs", inputs or chosen.inputs, (FEATURES, PATCHES)) == PATCHES
        if not self.reads_patches and self.weights not in ("auto", "random"):
            msg = f"weights={self.weights!r} are of the image encoder, which only inputs='patches' or preset='paper' looks through."
            raise ValueError(msg)
        self.needs_image = self.uses_image = not self.reads_patches or self.uses_context
        self._trained: TrainedSpotNetwork | None = None

    # --- what a method says -------------------------------------------------------------------------------------------
    @abstractmethod
    def _network_type(self) -> type[SpotNetwork]:
        """Class of the network; importing it loads torch."""

    def _pretrain(self, network: SpotNetwork) -> str:
        """Load pretrained weights into the image encoder; returns where they come from, empty where there is none."""
        return ""

    def recipe(self) -> NetworkRecipe:
        """How the network is made, trained and tuned; a method adds what is its own."""
        return NetworkRecipe(
            target=self.target,
            new_network=self.new_network,
            patch_size=self.patch_size,
            pretrain=self._pretrain if self.reads_patches else None,
            prepare=None,
            tune=None,
            reads_features=not self.reads_patches or self.uses_context,
            by_slide=self.standardize == SLIDE,
            config=self.spot_config(),
            machine=self._machine(),
            fine_tune=self.fine_tune,
            fine_tune_lr=self.fine_tune_lr,
            tuning=self.tuning,
            untried_tuning=self.untried_tuning,
        )

    # --- fit, adapt, predict ------------------------------------------------------------------------------------------
    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Learn from slides that were measured at every spot. Returns the method itself."""
        from ._fit import fit

        genes = check_training(slides, self.name)
        shown = self._with_picture(slides)
        measured = [MeasuredSpots(s.arrays, np.arange(s.arrays.n_spots), s.counts, s.totals) for s in shown]
        self._trained, _ = fit(self.recipe(), measured)
        self.genes, self.record = genes, self._trained.record
        self.__dict__.pop("_cache", None)
        return self

    def adapt(self, slide: SlideArrays, prompts: Prompts) -> Self:
        """Return a copy whose network is tuned to the slide on its prompts."""
        from ._fit import completed, gains, tuned

        trained = self._trained
        if trained is None or prompts.n_prompts == 0 or trained.fine_tune == 0:
            return self
        source, recipe = self._encoded(slide), self.recipe()
        measured = MeasuredSpots(slide, prompts.index, prompts.counts, prompts.totals, prompts.lacking)
        measured = completed(recipe, trained, measured, source)
        if self.fine_tune is None and not gains(recipe, trained, measured, source):
            return self
        adapted = copy.copy(self)
        adapted._trained = tuned(recipe, trained, measured, source, trained.fine_tune)
        return adapted

    def encode(self, slide: SlideArrays) -> SlideSource | None:
        """Tensors and graphs of a slide."""
        self._check_picture([slide])
        trained = self._trained
        return None if trained is None else trained.source(slide, self.patch_size(trained.network))

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide, by an untrained method from its prompts alone."""
        from ._fit import fit, predict_shares

        trained, source, recipe = self._trained, self._encoded(slide), self.recipe()
        if trained is None:  # trained on all of the prompts, for as long as the preset says at most
            measured = MeasuredSpots(slide, prompts.index, prompts.counts, prompts.totals)
            config = replace(recipe.config, validation_fraction=0.0)
            trained, (source,) = fit(replace(recipe, config=config), [measured])
        rate = predict_shares(recipe, trained.network, source) * trained.level
        details = {
            "inputs": PATCHES if self.reads_patches else FEATURES,
            "fine_tuned": int(trained.tuned),
            **trained.origin,
        }
        return Prediction(log_expression(rate, prompts.target_sum), details=details)

    # --- settings -----------------------------------------------------------------------------------------------------
    @classmethod
    def _preset(cls, name: str) -> Preset:
        if name not in cls.presets:
            msg = f"Unknown preset {name!r} of method {cls.name!r}; available: {', '.join(sorted(cls.presets))}."
            raise ValueError(msg)
        return cls.presets[name]

    def check_settings(self) -> None:
        """Raise where ``network`` or ``training`` names what is not there, or what the data say."""
        self.spot_config()
        if taken := sorted(_OF_DATA & set(self.network)):
            raise ValueError(
                f"`network` of method {self.name!r} must not hold {quoted(taken)}: the data say what it is."
            )
        config = self._network_type().config_type
        check_nested(self.network, config, argument="network", method=self.name, hidden=_OF_DATA)

    def spot_config(self) -> SpotConfig:
        """How to train."""
        from ...training import SpotConfig

        check_nested(self.training, SpotConfig, argument="training", method=self.name, hidden=("seed",))
        return SpotConfig(**{**self._preset(self.preset).training, **self._training_changes()})

    def new_network(self, n_genes: int, n_features: int | None) -> SpotNetwork:
        """A network of the preset's sizes and the user's changes.

        Parameters
        ----------
        n_genes
            Size of the panel.
        n_features
            Width of the embeddings of spots and tiles; ``None`` where there are none.
        """
        self.check_settings()
        sizes = {**self._preset(self.preset).network, **self.network, "n_genes": n_genes}
        if self.uses_context:
            sizes["n_context"] = n_features
        return self._build(n_features=None if self.reads_patches else n_features, **sizes)

    def _build(self, **sizes: Any) -> SpotNetwork:
        network = self._network_type()
        return network(network.config_type(**sizes))

    def patch_size(self, network: SpotNetwork) -> PatchSize | None:
        """Size of the pictures that a network of this method reads; ``None`` where it looks at features."""
        from ._slides import PatchSize

        if not self.reads_patches:
            return None
        edge = self._preset(self.preset).patch_um if self.patch_um is None else self.patch_um
        return PatchSize(edge, network.config.patch_px)

    # --- slides without a picture -------------------------------------------------------------------------------------
    def _with_picture(self, slides: Sequence[TrainingSlide]) -> list[TrainingSlide]:
        having = [slide for slide in slides if not self._lacks_picture(slide.arrays)]
        if not having:
            self._check_picture([slide.arrays for slide in slides])
        if len(having) < len(slides):
            names = [slide.arrays.name for slide in slides if self._lacks_picture(slide.arrays)]
            msg = f"Method {self.name!r} learns nothing from slides without an image, and leaves out {quoted(names)}."
            warn_user(msg)
        return having

    def _lacks_picture(self, slide: SlideArrays) -> bool:
        return (slide.patches is None) if self.reads_patches else (slide.features is None)

    def _check_picture(self, slides: Sequence[SlideArrays]) -> None:
        for slide in slides:
            if not self._lacks_picture(slide):
                continue
            if self.reads_patches:
                msg = (
                    f"Method {self.name!r} reads the image, and slide {slide.name!r} has none: name its file in "
                    'uns["spatial"][library]["metadata"]["source_image_path"], or use inputs="features".'
                )
            else:
                call, other = "extract_embeddings(data)", ', or let it read the image itself, inputs="patches"'
                if self.uses_context:
                    call, other = "extract_embeddings(data, context=5)", ""
                msg = (
                    f"Method {self.name!r} needs image features, and slide {slide.name!r} has none: call "
                    f"`phg2st_sc.pp.{call}`{other}."
                )
            raise ValueError(msg)

    # --- keeping ------------------------------------------------------------------------------------------------------
    def kept_parameters(self) -> dict[str, Any]:
        """Settings less the folders of this machine."""
        return {**super().kept_parameters(), "weights": Path(self.weights).name}

    def _build_network(self, network: Any, config: Mapping[str, Any]) -> SpotNetwork:
        from ...training import device_of

        return self._build(**config).to(device_of(self.accelerator, self.devices))


def _check_choice(name: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        msg = f"Unknown {name} {value!r}; available: {', '.join(map(repr, choices))}."
        raise ValueError(msg)
    return value
