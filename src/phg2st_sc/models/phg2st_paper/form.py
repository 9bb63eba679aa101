"""The published network as a form of :class:`PHG2ST`: it predicts log-normalised expression outright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import Prediction, Prompts, SlideArrays, TrainingSlide, log_expression
from .._network_settings import NetworkSettings

if TYPE_CHECKING:
    from ...nn import FeatureStats
    from .network import ImageTokens, PHG2STNetwork

_TOKEN_BYTES = 1 << 29
"""Image tokens of a slide are kept for the next mask up to this size."""


@dataclass(frozen=True, eq=False)
class _Encoded:
    slide: Any
    tokens: ImageTokens | None


class PublishedForm:
    """A prompt meets the image tokens of its own spot and moves no other prediction.

    It predicts log1p(s * count / total) by the mean of the logarithms; a factor per gene, learned from the training slides,
    brings the level to that of the rates.

    Parameters
    ----------
    settings
        Of network, training and machine.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        self.settings = settings
        self.record: dict[str, Any] = {}
        self._net: PHG2STNetwork | None = None
        self._stats: FeatureStats | None = None
        self._level: NDArray[np.float32] | None = None
        self._scale, self._imaged = 0.0, True

    def fit(self, slides: Sequence[TrainingSlide]) -> None:
        """Train the network on slides that were measured at every spot."""
        from .fit import network_config, record, train

        settings = self.settings
        training, machine = settings.training(), settings.machine()
        config = network_config(slides, settings.network)
        trained = train(slides, config, training, machine, n_neighbors=settings.n_neighbors, engine=settings.engine)
        self._net, self._stats, self._level = trained.network, trained.stats, trained.level
        self._scale = trained.target_sum
        self._imaged = any(slide.arrays.features is not None for slide in slides)
        self.record = record(trained, training, slides)

    def encode(self, slide: SlideArrays) -> _Encoded:
        """Hypergraphs of a slide, and its image tokens where they are not too large to keep."""
        import torch

        from ...nn import CONTEXT_SIDE, slide_tensors
        from ...training import device_of

        net, stats = self._fitted()
        if not self._imaged:  # features mean nothing to a network that never saw any
            slide = replace(slide, features=None, context_index=None, tiles=None)
        device = device_of(self.settings.accelerator, self.settings.devices)
        net.to(device).eval()
        tensors = slide_tensors(
            slide, net.config, stats, n_neighbors=self.settings.n_neighbors, engine=self.settings.engine
        ).to(device)
        size = slide.n_spots * (CONTEXT_SIDE**2 if net.config.uses_context else 1) * net.config.width * 4
        if size > _TOKEN_BYTES:
            return _Encoded(tensors, None)
        with torch.inference_mode():
            return _Encoded(tensors, net.tokens_in_chunks(tensors))

    def predict(self, slide: SlideArrays, encoded: _Encoded, prompts: Prompts) -> Prediction:
        """Predict every spot of a slide from its prompts."""
        import torch

        from .fit import log_normalize
        from .module import predict_rows

        net, _ = self._fitted()
        device = encoded.slide.positions.device
        expression = torch.zeros(slide.n_spots, prompts.n_genes)
        measured = torch.zeros(slide.n_spots, dtype=torch.bool)
        if prompts.n_prompts:
            index = torch.from_numpy(prompts.index)
            expression[index] = torch.from_numpy(log_normalize(prompts.counts, prompts.totals, self._scale))
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
            msg = (
                'fusion="paper" must be trained first: '
                '`model = phg2st_sc.tl.train(slides, method="phg2st", fusion="paper")`'
            )
            raise ValueError(msg)
        return self._net, self._stats

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Settings, weights and training statistics."""
        if self._net is None or self._stats is None or self._level is None:
            return {}, {}
        settings = {
            "network": self._net.config.as_dict(),
            "scale": self._scale,
            "imaged": self._imaged,
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
        import torch

        from ...nn import FeatureStats, NetworkConfig
        from .network import PHG2STNetwork

        net = PHG2STNetwork(NetworkConfig(**settings["network"]))
        prefix = "network."
        net.load_state_dict(
            {k.removeprefix(prefix): torch.from_numpy(v) for k, v in arrays.items() if k.startswith(prefix)}
        )
        self._net, self._level = net.eval(), arrays["level"]
        self._stats = FeatureStats(arrays["features.mean"], arrays["features.scale"])
        self._scale = float(settings["scale"])
        self._imaged = bool(settings["imaged"])
