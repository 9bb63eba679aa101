"""PHG2ST: prompt-guided hypergraph learning, the published network."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .._arrays import Prediction, Prompts, SlideArrays, TrainingSlide, log_expression
from ..linear._cohort import check_training
from ._base import Estimator
from ._registry import register

if TYPE_CHECKING:
    from ..nn._config import NetworkConfig
    from ..nn._network import ImageTokens, PHG2STNetwork
    from ..training import TrainingConfig
    from ._phg2st_tensors import FeatureStats

DEFAULT_PRESET = "default"
_TOKEN_BYTES = 1 << 29
"""Image tokens of a slide are kept for the next mask up to this size."""


@dataclass(frozen=True, eq=False)
class _Encoded:
    slide: Any
    tokens: ImageTokens | None


@register
class PHG2ST(Estimator):
    """The network of PHG2ST: prompt embedding, hypergraphs and transformers over spots and their surroundings.

    With ``fusion="paper"`` the network is as published: a prompt meets the image tokens of its own spot and moves no other
    prediction. It predicts log1p(s * count / total) by the mean of the logarithms; a factor per gene, learned from the
    training slides, brings the level to that of the rates.

    Training draws new prompts in every step, shows one slide per step, and stops when the depth-free correlation at the
    unprompted spots of left-out patients (else slides, else a block of spots) no longer rises. Slides without an image
    take part with a learned stand-in for their features.

    Parameters
    ----------
    fusion
        How prompts meet image tokens.
    preset
        ``"default"``: small, for a CPU. ``"paper"``: published sizes, Adam with the rate times 0.9 every 50 epochs.
        ``"released"``: settings of the released code (AdamW, plateau schedule, a tenth of the spots as prompts, 256 spots
        per step, positional convolution, a loss on the prompt embedding).
    branches
        ``"both"``, or ``"spot"`` or ``"context"`` alone.
    engine
        Of the hypergraph convolution: ``"auto"``, ``"dgl"`` or ``"torch"``.
    n_neighbors
        Spots, or tiles, in a hyperedge beside its own.
    max_epochs, patience, lr, prompt_fraction, validation_fraction
        See :class:`phg2st_sc.training.TrainingConfig`; ``None`` takes the preset's.
    network, training
        Further settings by name, of :class:`phg2st_sc.nn.NetworkConfig` and :class:`phg2st_sc.training.TrainingConfig`.
    accelerator, devices, precision, strategy
        Handed to :class:`lightning.Trainer`.
    checkpoint_dir
        Folder for a checkpoint per epoch.
    resume_from
        Checkpoint to go on from; all else must be as in the interrupted run.
    progress
        Show a progress bar.
    seed
        Seed of everything drawn at random.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> slides = phg2st.datasets.simulate(
    ...     n_slides=2, n_patients=2, n_spots=60, n_genes=20, image=False, progress=False
    ... )
    >>> model = phg2st.tl.train(slides, method="phg2st", max_epochs=1, progress=False)
    >>> model.card["training"]["unit"]
    'patient'

    References
    ----------
    ST-Prompt Guided Histological Hypergraph Learning for Spatial Gene Expression Prediction, arXiv 2503.16816.
    """

    name = "phg2st"
    uses_image = True
    needs_fit = True

    def __init__(
        self,
        *,
        fusion: str = "paper",
        preset: str | None = None,
        branches: str = "both",
        engine: str = "auto",
        n_neighbors: int = 4,
        max_epochs: int | None = None,
        patience: int | None = None,
        lr: float | None = None,
        prompt_fraction: float | None = None,
        validation_fraction: float | None = None,
        network: Mapping[str, Any] | None = None,
        training: Mapping[str, Any] | None = None,
        accelerator: str = "auto",
        devices: int | str | Sequence[int] = 1,
        precision: str = "32-true",
        strategy: str = "auto",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self.fusion, self.preset, self.branches = fusion, preset, branches
        self.engine, self.n_neighbors = engine, n_neighbors
        self.max_epochs, self.patience, self.lr = max_epochs, patience, lr
        self.prompt_fraction, self.validation_fraction = prompt_fraction, validation_fraction
        self.network, self.training = dict(network or {}), dict(training or {})
        self.accelerator, self.devices, self.precision, self.strategy = accelerator, devices, precision, strategy
        self.checkpoint_dir = None if checkpoint_dir is None else os.fspath(checkpoint_dir)
        self.resume_from = None if resume_from is None else os.fspath(resume_from)
        self.progress, self.seed = progress, seed
        self._net: PHG2STNetwork | None = None
        self._stats: FeatureStats | None = None
        self._level: NDArray[np.float32] | None = None
        self._scale, self._imaged = 0.0, True

    # --- learning -----------------------------------------------------------------------------------------------------
    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Train the network on slides that were measured at every spot."""
        from ..training import Machine
        from ._phg2st_fit import network_config, record, train

        genes = check_training(slides, self.name)
        training = self._training_config()
        machine = Machine(
            self.accelerator,
            self.devices,
            self.precision,
            self.strategy,
            self.checkpoint_dir,
            self.resume_from,
            self.progress,
        )
        config = network_config(slides, self._network_config)
        trained = train(slides, config, training, machine, n_neighbors=self.n_neighbors, engine=self.engine)
        self._net, self._stats, self._level = trained.network, trained.stats, trained.level
        self._scale, self.genes = trained.target_sum, genes
        self._imaged = any(slide.arrays.features is not None for slide in slides)
        self.record = record(trained, training, slides)
        # where this run kept its checkpoints is no part of the method
        self.checkpoint_dir = self.resume_from = None
        self.__dict__.pop("_cache", None)
        return self

    def _network_config(self, **sizes: int) -> NetworkConfig:
        from ..nn._config import NetworkConfig

        changes = {"fusion": self.fusion, "branches": self.branches, **self.network, **sizes}
        return NetworkConfig.preset(self.preset or DEFAULT_PRESET, **changes)

    def _training_config(self) -> TrainingConfig:
        from ..training import TrainingConfig

        names = ("max_epochs", "patience", "lr", "prompt_fraction", "validation_fraction")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return TrainingConfig.preset(self.preset or DEFAULT_PRESET, **{**self.training, **given, "seed": self.seed})

    # --- predicting ---------------------------------------------------------------------------------------------------
    def encode(self, slide: SlideArrays) -> _Encoded:
        """Hypergraphs of a slide, and its image tokens where they are not too large to keep."""
        import torch

        from ..nn._config import CONTEXT_SIDE
        from ..training import device_of
        from ._phg2st_tensors import slide_tensors

        net, stats = self._fitted()
        if not self._imaged:  # features mean nothing to a network that never saw any
            slide = replace(slide, features=None, context_index=None, tiles=None)
        device = device_of(self.accelerator)
        net.to(device).eval()
        tensors = slide_tensors(slide, net.config, stats, n_neighbors=self.n_neighbors, engine=self.engine).to(device)
        size = slide.n_spots * (CONTEXT_SIDE**2 if net.config.uses_context else 1) * net.config.width * 4
        if size > _TOKEN_BYTES:
            return _Encoded(tensors, None)
        with torch.inference_mode():
            return _Encoded(tensors, net.tokens_in_chunks(tensors))

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        import torch

        from ..training._module import predict_rows
        from ._phg2st_fit import log_normalise

        net, _ = self._fitted()
        encoded = self._encoded(slide)
        device = encoded.slide.positions.device
        expression = torch.zeros(slide.n_spots, prompts.n_genes)
        measured = torch.zeros(slide.n_spots, dtype=torch.bool)
        if prompts.n_prompts:
            index = torch.from_numpy(prompts.index)
            expression[index] = torch.from_numpy(log_normalise(prompts.counts, prompts.totals, self._scale))
            measured[index] = True
        expression, measured = expression.to(device), measured.to(device)
        if encoded.tokens is None:
            output = predict_rows(net, encoded.slide, expression, measured)
        else:
            with torch.inference_mode():
                output = net.from_tokens(encoded.tokens, expression, measured).joint
        rate = np.expm1(np.maximum(output.float().cpu().numpy(), 0.0)) / self._scale * self._level
        details = {"engine": encoded.slide.propagation.engine, "device": str(device), "fusion": net.config.fusion}
        return Prediction(log_expression(rate, prompts.target_sum), details=details)

    def _fitted(self) -> tuple[PHG2STNetwork, FeatureStats]:
        if self._net is None or self._stats is None:
            msg = f"method {self.name!r} must be trained first: `model = phg2st_sc.tl.train(slides, method={self.name!r})`"
            raise ValueError(msg)
        return self._net, self._stats

    # --- keeping ------------------------------------------------------------------------------------------------------
    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Settings, weights and training statistics."""
        if self._net is None or self._stats is None or self._level is None:
            return {}, {}
        settings = {
            "genes": list(self.genes or ()),
            "network": self._net.config.as_dict(),
            "scale": self._scale,
            "imaged": self._imaged,
            "record": self.record,
        }
        weights = {f"network.{name}": value.detach().cpu().numpy() for name, value in self._net.state_dict().items()}
        return settings, {
            **weights,
            "features.mean": self._stats.mean,
            "features.scale": self._stats.scale,
            "level": self._level,
        }

    def set_state(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned."""
        if not settings:
            return
        import torch

        from ..nn import NetworkConfig, PHG2STNetwork
        from ._phg2st_tensors import FeatureStats

        net = PHG2STNetwork(NetworkConfig(**settings["network"]))
        prefix = "network."
        net.load_state_dict(
            {k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)}
        )
        self._net, self._level = net.eval(), arrays["level"]
        self._stats = FeatureStats(arrays["features.mean"], arrays["features.scale"])
        self.genes, self._scale, self.record = tuple(settings["genes"]), float(settings["scale"]), settings["record"]
        self._imaged = bool(settings["imaged"])
