"""The Lightning module: one slide, one draw of prompts, one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...nn import three_part_loss
from ...training import FitResult, Machine, TrainingConfig, TrainingModule, mean_pcc, run_training
from .batch import SlideTargets, TrainingSet, ValidationSet
from .data import SlideDataModule
from .network import PHG2STNetwork


class SlideModule(TrainingModule):
    """Trains a network that predicts a slide from its prompts.

    Parameters
    ----------
    network
        Called as ``network(slide, expression, measured, rows)``.
    config, run
        See :class:`TrainingModule`.
    """

    def __init__(self, network: PHG2STNetwork, config: TrainingConfig, *, run: Mapping[str, Any] | None = None) -> None:
        super().__init__(network, config, run=run)

    # --- training -----------------------------------------------------------------------------------------------------
    def training_step(self, batch: SlideTargets, batch_idx: int) -> Tensor:
        """Loss of one slide under newly drawn prompts."""
        prompts, rows = self._draw(batch)
        output = self.network(batch.slide, batch.expression, prompts, rows)
        weight = None if batch.weight is None else batch.weight[rows] / batch.weight[rows].mean()
        share = self.network.config.distillation
        loss = three_part_loss(output, batch.expression[rows], distillation=share, weight=weight)
        return self._logged(loss)

    def _draw(self, batch: SlideTargets) -> tuple[Tensor, Tensor]:
        """Prompts (n,) bool of a step, and the spots it predicts at."""
        allowed = np.flatnonzero(batch.allowed)
        rng = self._rng(1)
        n_prompts = max(1, round(self.settings.prompt_fraction * allowed.size)) if self.settings.prompt_fraction else 0
        shown = np.zeros(batch.slide.n_spots, dtype=bool)
        shown[rng.choice(allowed, n_prompts, replace=False)] = True
        limit = self.settings.spots_per_step
        rows = allowed if limit is None or limit >= allowed.size else np.sort(rng.choice(allowed, limit, replace=False))
        device = batch.expression.device
        return torch.from_numpy(shown).to(device), torch.from_numpy(rows).to(device)

    # --- validation ---------------------------------------------------------------------------------------------------
    def validation_step(self, batch: SlideTargets, batch_idx: int) -> None:
        """Depth-free correlation at the held-out spots of one slide."""
        if batch.prompts is None or batch.truth is None:
            raise ValueError("A validation slide needs prompts and targets.")
        predicted = predict_rows(self.network, batch.slide, batch.expression, batch.prompts).cpu().numpy()
        held_out = np.isfinite(batch.truth).all(axis=1)
        score = mean_pcc(batch.truth[held_out], predicted[held_out])
        self.log(self.score, score, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True)


def predict_rows(
    network: PHG2STNetwork, slide: Any, expression: Tensor, prompts: Tensor, *, chunk: int = 512
) -> Tensor:
    """(n, G) joint prediction without dropout, a chunk of spots after the other: the context branch is the large one."""
    training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            return _predict(network, slide, expression, prompts, chunk)
    finally:
        network.train(training)


def _predict(network: PHG2STNetwork, slide: Any, expression: Tensor, prompts: Tensor, chunk: int) -> Tensor:
    everywhere = torch.arange(slide.n_spots, device=expression.device)
    spots = network.spot_tokens(slide)
    parts = [
        network.from_tokens(network.tokens(slide, rows, spots=spots), expression, prompts).joint
        for rows in everywhere.split(chunk)
    ]
    return torch.cat(parts).float()


def train_network(
    network: PHG2STNetwork,
    training: TrainingSet,
    validation: ValidationSet,
    config: TrainingConfig,
    machine: Machine | None = None,
) -> FitResult:
    """Train a network in place, and leave it with the weights of its best epoch, on the CPU, in evaluation mode.

    Parameters
    ----------
    network
        The network.
    training, validation
        Slides; without validation slides the last epoch is kept.
    config
        Settings.
    machine
        Where to run.

    Raises
    ------
    FileNotFoundError
        If the checkpoint to go on from does not exist.
    ValueError
        If the strategy trains in child processes that cannot hand back the best weights, or the checkpoint is of another
        network, other settings or other slides.
    """
    module = SlideModule(network, config, run={"spots": [item.slide.n_spots for item in training.slides]})
    data = SlideDataModule(training, validation, seed=config.seed)
    return run_training(module, data, machine or Machine(), validated=len(validation) > 0)
