"""What methods with a network share: settings of training and machine, and settings within ``network=`` and ``training=``."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from .._deprecated import without_dropped
from .._text import quoted
from ._base import FOLDERS, Estimator
from ._limits import AtLeast, Positive

if TYPE_CHECKING:
    from ..training import Machine

_NESTED = ("network", "training")
_OF_LIGHTNING = ("logger", "callbacks")
_TRAINING = ("max_epochs", "patience", "lr", "prompt_fraction", "validation_fraction", "batch_size")
"""Settings of the training configurations that have a parameter of their own; a method has some of them."""


class NetworkEstimator(Estimator):
    """A method that trains a network with Lightning."""

    slow_imports = ("phg2st_sc.training",)
    limits: ClassVar = {"max_epochs": AtLeast(1), "lr": Positive()}
    network: dict[str, Any]
    training: dict[str, Any]
    accelerator: str
    devices: int | str | Sequence[int]
    precision: str | None
    strategy: str
    checkpoint_dir: str | None
    resume_from: str | None
    progress: bool
    seed: int
    lightning: dict[str, Any]
    """Loggers and callbacks of ``training=``: of this process, and never saved."""

    def _keep(self, given: Mapping[str, Any]) -> None:
        """Take what the constructor was given as attributes; what is changed later in what was handed over changes nothing."""
        for name, value in given.items():
            if name in ("self", "__class__"):
                continue
            if name in _NESTED:
                value = dict(value or {})
            if name == "training":
                self.lightning = {one: value.pop(one) for one in _OF_LIGHTNING if one in value}
            elif name in FOLDERS and value is not None:
                value = os.fspath(value)
            setattr(self, name, value)

    def _training_changes(self) -> dict[str, Any]:
        """Changes to the settings of training, those with a parameter of their own last."""
        given = {name: getattr(self, name, None) for name in _TRAINING}
        return {**self.training, **{name: v for name, v in given.items() if v is not None}, "seed": self.seed}

    def _machine(self) -> Machine:
        from ..training import Machine

        return Machine(
            self.accelerator,
            self.devices,
            self.precision,
            self.strategy,
            self.checkpoint_dir,
            self.resume_from,
            self.progress,
            callbacks=tuple(self.lightning.get("callbacks", ())),
            logger=self.lightning.get("logger", False),
        )

    def kept_parameters(self) -> dict[str, Any]:
        """Settings less the folders of this machine."""
        return {**super().kept_parameters(), **FOLDERS}


def check_nested(
    changes: Mapping[str, Any], config: type[Any], *, argument: str, method: str, hidden: Collection[str] = ()
) -> None:
    """Raise where ``changes`` names what the dataclass ``config`` does not have; ``hidden`` fields are not the user's."""
    known = [one.name for one in fields(config) if one.name not in hidden]
    if unknown := sorted(set(changes) - set(known)):
        msg = f"`{argument}` of method {method!r} has no setting {quoted(unknown)}; it has: {', '.join(known)}."
        raise ValueError(msg)


def check_prompted(method: NetworkEstimator, config: type[Any]) -> None:
    """The same for a method whose network is shown prompts, and trained as ``config`` says; sizes without effect are left out."""
    from ..nn import DROPPED, NetworkConfig

    check_nested(method.training, config, argument="training", method=method.name, hidden=("seed",))
    sizes = ("n_genes", "n_features", "fusion", "branches")
    method.network = without_dropped(method.network, DROPPED, f"`network` of method {method.name!r}")
    check_nested(method.network, NetworkConfig, argument="network", method=method.name, hidden=sizes)
