"""Run the training of a network."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import lightning as L
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.strategies.launchers.multiprocessing import _MultiProcessingLauncher
from torch import Tensor

from .._progress import is_shown
from .._settings import settings
from .._threads import limit_torch
from ..nn import own_randomness
from ._base import TrainingModule


@dataclass(frozen=True)
class Machine:
    """Where and how to run; handed to :class:`lightning.Trainer` as it is.

    Attributes
    ----------
    accelerator, devices, precision, strategy
        As Lightning names them. With ``accelerator="auto"`` and ``devices=1``, and with no ``precision``,
        :data:`phg2st_sc.settings` say where and in what.
    checkpoint_dir
        Folder for ``last.ckpt``, written after every epoch over that of an earlier run; ``None`` writes none.
    resume_from
        Checkpoint to go on from.
    progress
        Show a progress bar.
    callbacks
        Further callbacks.
    logger
        Where Lightning logs loss and scores; ``False`` for nowhere.
    """

    accelerator: str = "auto"
    devices: Any = 1
    precision: Any = None
    strategy: str = "auto"
    checkpoint_dir: str | None = None
    resume_from: str | None = None
    progress: bool = True
    callbacks: tuple[Callback, ...] = field(default=())
    logger: Any = False


@dataclass(frozen=True)
class FitResult:
    """How training went.

    Attributes
    ----------
    losses
        Mean training loss of each epoch.
    scores
        Validation score of each epoch, where there is validation.
    best_epoch, best_score
        The epoch whose weights were kept, and its score.
    """

    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int | None
    best_score: float | None


class KeepBest(Callback):
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


def run_training(
    module: TrainingModule, data: L.LightningDataModule, machine: Machine, *, validated: bool
) -> FitResult:
    """Train the network of a module; see :func:`train_network`."""
    _check_resumable(machine.resume_from)
    best = KeepBest(module.score)
    limit_torch()
    with _quiet(), own_randomness(), _interruptible():
        trainer = _trainer(module, machine, best, validated=validated)
        _check_strategy(trainer)
        trainer.fit(
            module, datamodule=data, ckpt_path=machine.resume_from, weights_only=machine.resume_from is not None
        )
        if trainer.interrupted:
            raise KeyboardInterrupt
    module.network.cpu()
    if best.weights:
        module.network.load_state_dict(best.weights)
    module.network.eval()
    return FitResult(tuple(module.losses), tuple(best.scores), best.epoch, best.score)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C in training is a ``KeyboardInterrupt``, and works the next time too.

    Lightning turns it into an exit of Python, which notebooks take for a crash and ``except KeyboardInterrupt`` does not catch,
    and older versions go on as if training were over; both leave the signal ignored where training had not yet begun.
    """
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt from None
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, before)


def _check_resumable(path: str | None) -> None:
    if path is None:
        return
    if not Path(path).is_file():
        msg = f"No checkpoint at {path!r}: training with `checkpoint_dir=` writes `last.ckpt` there."
        raise FileNotFoundError(msg)
    if not is_zipfile(path):
        msg = f"{path!r} is no checkpoint, or only part of one: resume from a whole `last.ckpt`."
        raise ValueError(msg)
    try:
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, UnpicklingError):
        msg = (
            f"{path!r} is damaged, or holds other objects than a checkpoint of this package does. Such objects can run code when they "
            "are read, so they are not: resume from a `last.ckpt` that training wrote."
        )
        raise ValueError(msg) from None  # torch's own words advise to run what is in the file


def _trainer(module: TrainingModule, machine: Machine, best: KeepBest, *, validated: bool) -> L.Trainer:
    config = module.settings
    callbacks: list[Callback] = [best, *machine.callbacks] if validated else list(machine.callbacks)
    if validated and config.patience:
        callbacks.append(EarlyStopping(module.score, mode="max", patience=config.patience))
    if machine.checkpoint_dir is not None:
        callbacks.append(
            ModelCheckpoint(
                machine.checkpoint_dir,
                save_last=True,
                save_top_k=0,
                every_n_epochs=1,
                save_on_train_epoch_end=True,
                enable_version_counter=False,
            )
        )
    try:
        return _new_trainer(config, machine, callbacks)
    except MisconfigurationException as error:
        msg = (
            f"Cannot train with accelerator={machine.accelerator!r}, devices={machine.devices!r} here ({error}): "
            "accelerator='auto' takes what there is."
        )
        raise ValueError(msg) from error


def _new_trainer(config: Any, machine: Machine, callbacks: list[Callback]) -> L.Trainer:
    accelerator, devices = _settled(machine.accelerator, machine.devices)
    return L.Trainer(
        accelerator=accelerator,
        devices=devices,
        precision=machine.precision or _PRECISIONS[settings.precision or "float32"],
        strategy=machine.strategy,
        num_nodes=machines_of_job(machine.strategy, os.environ),
        max_epochs=config.max_epochs,
        gradient_clip_val=config.gradient_clip,
        callbacks=callbacks,
        logger=machine.logger,
        log_every_n_steps=1,
        use_distributed_sampler=False,  # steps are shared by `shared`, and every process validates on all slides
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
        enable_progress_bar=is_shown(machine.progress),
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def _check_strategy(trainer: L.Trainer) -> None:
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        msg = (
            f"{trainer.num_devices} devices with strategy {type(trainer.strategy).__name__} train in child processes, and "
            "the best weights would be lost with them: pass `devices=1`, or run a script with `strategy='ddp'`."
        )
        raise ValueError(msg)


def machines_of_job(strategy: str, environment: Mapping[str, str]) -> int:
    """How many machines a job has, where ``srun`` or ``torchrun`` started the same number of processes on each of them."""
    if strategy == "auto":
        return 1
    n, every = (environment.get(name, "") for name in ("SLURM_NNODES", "SLURM_NTASKS"))
    if "SLURM_PROCID" in environment and n.isdigit() and every.isdigit() and int(every) % int(n) == 0:
        return int(n)
    n = environment.get("GROUP_WORLD_SIZE", "1")
    return int(n) if n.isdigit() else 1


_IRRELEVANT = (
    ".*does not have many workers.*",
    ".*Checkpoint directory .* exists.*",
    ".*when using `ckpt_path`, callbacks used to create the checkpoint.*",
    ".*Total length of `list` across ranks is zero.*",
    ".*`isinstance.treespec.*",
)


_PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}
"""What Lightning calls the precisions of the settings."""


def _settled(accelerator: str, devices: Any) -> tuple[str, Any]:
    """Accelerator and devices as asked for; where nothing is asked for, the device of the settings."""
    if accelerator != "auto" or devices != 1 or settings.device == "auto":
        return accelerator, devices
    kind, _, number = settings.device.partition(":")
    return kind, [int(number)] if number else devices


def device_of(accelerator: str, devices: int | str | Sequence[int] = 1) -> str:
    """Where to predict: what training was asked to use, the first of several, as far as it is here."""
    limit_torch()
    accelerator, devices = _settled(accelerator, devices)
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return f"cuda:{_first(devices)}"
    return "mps" if accelerator == "mps" and torch.backends.mps.is_available() else "cpu"


def _first(devices: int | str | Sequence[int]) -> int:
    """The first of the devices that Lightning would take: a number says how many, a list or ``"1,"`` which."""
    if isinstance(devices, str):
        named = [int(part) for part in devices.split(",") if part.strip().isdigit()]
        return named[0] if "," in devices and named else 0
    return 0 if isinstance(devices, int) or not devices else int(devices[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide announcements about the machine, and advice that does not fit slides held in memory."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for text in _IRRELEVANT:
                warnings.filterwarnings("ignore", message=text)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
