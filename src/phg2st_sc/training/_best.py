"""Keep the weights of the best epoch in memory."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from torch import Tensor


class KeepBest(L.Callback):
    """Remembers the network's weights at the highest value of a metric; part of every checkpoint.

    Parameters
    ----------
    monitor
        Name of the logged metric.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.score: float | None = None
        self.epoch: int | None = None
        self.scores: list[float] = []
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compare the epoch with the best so far."""
        if trainer.sanity_checking or self.monitor not in trainer.callback_metrics:
            return
        score = float(trainer.callback_metrics[self.monitor])
        self.scores.append(score)
        if self.score is None or score > self.score:
            self.score, self.epoch = score, trainer.current_epoch
            network: torch.nn.Module = pl_module.network  # type: ignore[assignment]
            self.weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"score": self.score, "epoch": self.epoch, "scores": self.scores, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what a checkpoint kept."""
        self.score, self.epoch = state_dict["score"], state_dict["epoch"]
        self.scores, self.weights = list(state_dict["scores"]), dict(state_dict["weights"])
