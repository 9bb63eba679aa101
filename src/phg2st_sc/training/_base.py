"""What all trainings share: seeds by step, optimiser and schedule, losses, resuming."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..metrics import pcc
from ._config import Optimization

LOSS = "train_loss"


class TrainingModule(L.LightningModule):
    """Base of the Lightning modules.

    Everything drawn at random in a step depends on the seed, the step and the place in the step alone, so that resumed training
    repeats uninterrupted training bit for bit, and several processes draw what one would that takes as many slides to a step.

    Parameters
    ----------
    network
        Has its sizes as ``network.config``.
    config
        Settings.
    run
        Further facts that a checkpoint must share to be resumed, in plain values.
    """

    score = "val_pcc"
    """Name of the validation score: the higher the better."""

    def __init__(self, network: nn.Module, config: Optimization, *, run: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.run = dict(run or {})
        self.network: Any = network
        self.settings: Any = config
        self.losses: list[float] = []
        self._epoch: list[Tensor] = []
        self._turn = 0

    # --- training -----------------------------------------------------------------------------------------------------
    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout by the step, and by the place in it."""
        self._turn = batch_idx % int(self.trainer.accumulate_grad_batches)
        torch.manual_seed(int(self._rng(2).integers(2**31)))

    def on_train_epoch_end(self) -> None:
        """Keep the mean loss of the epoch."""
        mean = torch.stack(self._epoch).mean()
        self.losses.append(float(self.trainer.strategy.reduce(mean, reduce_op="mean")))
        self._epoch.clear()

    def _logged(self, loss: Tensor) -> Tensor:
        self._epoch.append(loss.detach())
        self.log(LOSS, loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True)
        return loss

    def _rng(self, stream: int) -> np.random.Generator:
        place = self.global_rank if self._turn == 0 else self.global_rank + self._turn * self.trainer.world_size
        return np.random.default_rng((self.settings.seed, stream, self.global_step, place))

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
        if self.settings.schedule == "one_cycle":
            steps = max(int(self.trainer.estimated_stepping_batches), 2)
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, self.settings.lr, total_steps=steps, pct_start=0.15)
            return {"scheduler": cycle, "interval": "step"}
        if self.settings.schedule == "step":
            return {"scheduler": torch.optim.lr_scheduler.StepLR(optimizer, step_size=50, gamma=0.9)}
        validated = self.settings.validation_fraction > 0
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max" if validated else "min", factor=0.1, patience=10
        )
        return {"scheduler": scheduler, "monitor": self.score if validated else LOSS}

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
                f"The checkpoint is of another run: {key} is {there.get(key)!r} there and {here[key]!r} here. Resume with "
                "the settings, slides and genes of that run, or train anew without `resume_from`."
            )
            raise ValueError(msg)
        self.losses = list(checkpoint.get("phg2st_losses", []))

    def _identity(self) -> dict[str, Any]:
        """What must not change between a run and its resumption: all but how long to train."""
        settings = {k: v for k, v in self.settings.as_dict().items() if k not in ("max_epochs", "patience")}
        return {**self.network.config.as_dict(), **settings, **self.run}


def mean_pcc(truth: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Correlation over spots, mean over the genes that have one; 0 where none has, as with a panel of one gene."""
    by_gene = pcc(truth, predicted)
    return 0.0 if np.isnan(by_gene).all() else float(np.nanmean(by_gene))


def count_parameters(module: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
