"""PHG2ST as published: a network that predicts log-normalised expression outright."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide, log_expression
from ..._docs import documented
from ..._state import Later
from ...linear import check_training
from .._limits import AtLeast
from .._network_settings import NetworkEstimator, check_prompted
from .._registry import register

if TYPE_CHECKING:
    from ...nn import NetworkConfig
    from ...training import TrainingConfig
    from .fit import Trained
    from .network import ImageTokens

_TOKEN_BYTES = 1 << 29
"""Image tokens of a slide are kept for the next mask up to this size."""


@dataclass(frozen=True, eq=False)
class _EncodedSlide:
    slide: Any
    tokens: ImageTokens | None


def _trained() -> type[Trained]:
    from .fit import Trained

    return Trained


@register
@documented
class PHG2STPaper(NetworkEstimator):
    """PHG2ST as published: prompt embedding, spot and context hypergraphs, transformers and cross-attention.

    A prompt meets the image tokens of its own spot and moves no other prediction: :class:`PHG2ST` is the method whose prompts
    do. It has to be trained, and predicts log1p(s * count / total) by the mean of the logarithms; a factor per gene,
    learned from the training slides, brings the level to that of the rates. Training draws new prompts in every step, shows one
    slide per step, and stops when the depth-free correlation at the unprompted spots of left-out patients (else slides,
    else a block of spots) no longer rises. Slides without an image take part with a learned stand-in for their features.

    Parameters
    ----------
    preset
        ``"default"``: small, for a CPU. ``"paper"``: published sizes, Adam with the rate times 0.9 every 50 epochs.
        ``"released"``: settings of the released code (AdamW, plateau schedule, a tenth of the spots as prompts, 256 spots per
        step, positional convolution, a loss on the prompt embedding).
    {branches} {engine} {n_neighbors:hyperedge}
    {max_epochs} {patience} {lr} {prompt_fraction} {validation_fraction} {network}
        See :class:`phg2st_sc.nn.NetworkConfig`.
    {training}
        See :class:`phg2st_sc.training.TrainingConfig`. The preset's values stand where ``None`` is given above.
    {accelerator} {devices} {precision} {strategy} {checkpoint_dir} {resume_from} {progress:method} {seed}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> method = phg2st.models.PHG2STPaper(preset="paper", max_epochs=50, network={"width": 512})
    >>> method.needs_fit
    True

    References
    ----------
    ST-Prompt Guided Histological Hypergraph Learning for Spatial Gene Expression Prediction, arXiv 2503.16816.
    """

    name = "phg2st_paper"
    kind = "published"
    paper = "arXiv 2503.16816"
    limits: ClassVar = {"n_neighbors": AtLeast(1)}
    learns: ClassVar = {"_trained": Later(_trained)}
    always_learned = ("_trained",)
    uses_image = True
    needs_fit = True
    preset: str
    branches: str
    engine: str
    n_neighbors: int

    def __init__(
        self,
        *,
        preset: str = "default",
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
        precision: str | None = None,
        strategy: str = "auto",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        resume_from: str | os.PathLike[str] | None = None,
        progress: bool = False,
        seed: int = 0,
    ) -> None:
        self._keep(locals())
        self._trained: Trained | None = None

    # --- settings -----------------------------------------------------------------------------------------------------
    def check_settings(self) -> None:
        """Raise where ``network`` or ``training`` names what the network or its training does not have."""
        if self.network or self.training:  # what follows loads torch
            from ...training import TrainingConfig

            check_prompted(self, TrainingConfig)

    @property
    def uses_context(self) -> bool:  # type: ignore[override]
        """Whether there is a branch that looks at the tiles around spots."""
        return bool(self.network.get("branches", self.branches) != "spot")

    def network_config(self, **sizes: int) -> NetworkConfig:
        """Sizes and options of the network."""
        from ...nn import NetworkConfig

        return NetworkConfig.preset(self.preset, **{"branches": self.branches, **self.network, **sizes})

    def training_config(self) -> TrainingConfig:
        """How to train."""
        from ...training import TrainingConfig

        return TrainingConfig.preset(self.preset, **self._training_changes())

    # --- fit, encode, predict -----------------------------------------------------------------------------------------
    def fit(self, slides: Sequence[TrainingSlide]) -> Self:
        """Train the network on slides that were measured at every spot. Returns the method itself."""
        from .fit import train

        self.check_settings()
        genes = check_training(slides, self.name)
        trained = train(
            slides,
            self.network_config,
            self.training_config(),
            self._machine(),
            n_neighbors=self.n_neighbors,
            engine=self.engine,
        )
        self._trained, self.genes, self.record = trained, genes, trained.record
        self.__dict__.pop("_cache", None)
        return self

    def encode(self, slide: SlideArrays) -> _EncodedSlide:
        """Hypergraphs of a slide, and its image tokens where they are not too large to keep."""
        import torch

        from ...nn import CONTEXT_SIDE, slide_tensors
        from ...training import device_of

        trained = self._fitted()
        if not trained.imaged:  # features mean nothing to a network that never saw any
            slide = replace(slide, features=None, context_index=None, tiles=None)
        network, config = trained.network, trained.network.config
        device = device_of(self.accelerator, self.devices)
        network.to(device).eval()
        tensors = slide_tensors(slide, config, trained.stats, n_neighbors=self.n_neighbors, engine=self.engine).to(
            device
        )
        size = slide.n_spots * (CONTEXT_SIDE**2 if config.uses_context else 1) * config.width * 4
        if size > _TOKEN_BYTES:
            return _EncodedSlide(tensors, None)
        with torch.inference_mode():
            return _EncodedSlide(tensors, network.tokens_in_chunks(tensors))

    def predict(self, slide: SlideArrays, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        import torch

        from .fit import log_normalize
        from .module import predict_rows

        trained, encoded = self._fitted(), self._encoded(slide)
        network, device = trained.network, encoded.slide.positions.device
        expression = torch.zeros(slide.n_spots, prompts.n_genes)
        measured = torch.zeros(slide.n_spots, dtype=torch.bool)
        if prompts.n_prompts:
            index = torch.from_numpy(prompts.index)
            expression[index] = torch.from_numpy(log_normalize(prompts.counts, prompts.totals, trained.scale))
            measured[index] = True
        expression, measured = expression.to(device), measured.to(device)
        if encoded.tokens is None:
            output = predict_rows(network, encoded.slide, expression, measured)
        else:
            with torch.inference_mode():
                output = network.from_tokens(encoded.tokens, expression, measured).joint
        rate = np.expm1(np.maximum(output.float().cpu().numpy(), 0.0)) / trained.scale * trained.level
        details = {"engine": encoded.slide.propagation.engine, "device": str(device), "fusion": network.config.fusion}
        return Prediction(log_expression(rate, prompts.target_sum), details=details)

    def _fitted(self) -> Trained:
        if self._trained is None:
            msg = f"{self.name!r} must be trained first: `model = phg2st_sc.tl.train(slides, method={self.name!r})`."
            raise ValueError(msg)
        return self._trained
