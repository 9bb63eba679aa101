"""The Lightning module: one slide, one draw of prompts, one step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import Tensor, nn

from ..metrics import pcc
from ..nn._loss import three_part_loss
from ..nn._network import PHG2STNetwork
from ._batch import Measured
from ._config import TrainingConfig

SCORE = "val_pcc"
LOSS = "train_loss"


class SlideModule(L.LightningModule):
    """Trains a network that predicts a slide from its prompts.

    Everything drawn at random in a step depends on the seed, the step and the process alone, so that resumed training
    repeats uninterrupted training bit for bit.

    Parameters
    ----------
    network
        Called as ``network(slide, expression, measured, rows)``.
    config
        Settings.
    run
        Further facts that a checkpoint must share to be resumed, in plain values.
    """

    def __init__(self, network: PHG2STNetwork, config: TrainingConfig, *, run: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.run = dict(run or {})
        self.network, self.settings = network, config
        self.losses: list[float] = []
        self._epoch: list[Tensor] = []

    # --- training -----------------------------------------------------------------------------------------------------
    def on_train_batch_start(self, batch: Measured, batch_idx: int) -> None:
        """Seed dropout by the step."""
        torch.manual_seed(int(self._rng(2).integers(2**31)))

    def training_step(self, batch: Measured, batch_idx: int) -> Tensor:
        """Loss of one slide under newly drawn prompts."""
        prompts, rows = self._draw(batch)
        output = self.network(batch.slide, batch.expression, prompts, rows)
        weight = None if batch.weight is None else batch.weight[rows] / batch.weight[rows].mean()
        share = self.network.config.distillation
        loss = three_part_loss(output, batch.expression[rows], distillation=share, weight=weight)
        self._epoch.append(loss.detach())
        self.log(LOSS, loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=1)
        return loss

    def on_train_epoch_end(self) -> None:
        """Keep the mean loss of the epoch."""
        self.losses.append(float(torch.stack(self._epoch).mean()))
        self._epoch.clear()

    def _draw(self, batch: Measured) -> tuple[Tensor, Tensor]:
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

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.settings.seed, stream, self.global_step, self.global_rank))

    # --- validation ---------------------------------------------------------------------------------------------------
    def validation_step(self, batch: Measured, batch_idx: int) -> None:
        """Depth-free correlation at the held-out spots of one slide."""
        if batch.prompts is None or batch.truth is None:
            raise ValueError("a validation slide needs prompts and targets")
        predicted = predict_rows(self.network, batch.slide, batch.expression, batch.prompts).cpu().numpy()
        held_out = np.isfinite(batch.truth).all(axis=1)
        score = float(np.nan_to_num(np.nanmean(pcc(batch.truth[held_out], predicted[held_out]))))
        self.log(SCORE, score, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True)

    # --- optimisation -------------------------------------------------------------------------------------------------
    def configure_optimizers(self) -> dict[str, Any]:
        """Optimiser and schedule."""
        kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        made = kinds[self.settings.optimizer]
        optimizer = made(self.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)
        if self.settings.schedule == "none":
            return {"optimizer": optimizer}
        return {"optimizer": optimizer, "lr_scheduler": self._schedule(optimizer)}

    def _schedule(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        if self.settings.schedule == "step":
            return {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, step_size=50, gamma=0.9)}
        validated = self.settings.validation_fraction > 0
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max" if validated else "min", factor=0.1, patience=10
        )
        return {"scheduler": scheduler, "monitor": SCORE if validated else LOSS}

    # --- resuming -----------------------------------------------------------------------------------------------------
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the losses so far, and what the run is."""
        checkpoint["phg2st_losses"] = list(self.losses)
        checkpoint["phg2st_run"] = self._identity()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the losses so far; a checkpoint of another run is refused before anything is loaded."""
        there, here = checkpoint.get("phg2st_run", {}), self._identity()
        wrong = [key for key, value in here.items() if key not in there or there[key] != value]
        if wrong:
            key = wrong[0]
            msg = (
                f"the checkpoint is of another run: {key} is {there.get(key)!r} there and {here[key]!r} here. Resume with "
                "the settings, slides and genes of that run, or train anew without `resume_from`."
            )
            raise ValueError(msg)
        self.losses = list(checkpoint.get("phg2st_losses", []))

    def _identity(self) -> dict[str, Any]:
        """What must not change between a run and its resumption: all but how long to train."""
        settings = {k: v for k, v in self.settings.as_dict().items() if k not in ("max_epochs", "patience")}
        return {**self.network.config.as_dict(), **settings, **self.run}


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


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
