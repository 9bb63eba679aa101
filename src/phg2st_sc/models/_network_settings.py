"""Settings of network, training and machine, as users of :class:`PHG2ST` give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._nested import check_nested

if TYPE_CHECKING:
    from ..nn import NetworkConfig
    from ..training import EpisodeConfig, Machine, TrainingConfig

DEFAULT_PRESET = "default"
PROPAGATE, PAPER = "propagate", "paper"
"""Forms of the method."""


@dataclass(frozen=True)
class NetworkSettings:
    """See :class:`PHG2ST`, whose parameters these are."""

    fusion: str
    preset: str | None
    branches: str
    engine: str
    n_neighbors: int
    accelerator: str
    devices: int | str | Sequence[int]
    precision: str
    strategy: str
    checkpoint_dir: str | None
    resume_from: str | None
    progress: bool
    seed: int
    network_changes: Mapping[str, Any] = field(default_factory=dict)
    training_changes: Mapping[str, Any] = field(default_factory=dict)

    def check(self, method: str) -> None:
        """Raise where a setting within ``network`` or ``training`` is not there, or not the user's to give."""
        if not self.network_changes and not self.training_changes:
            return  # what follows loads torch
        from ..nn import NetworkConfig
        from ..training import EpisodeConfig, TrainingConfig

        config = EpisodeConfig if self.fusion == PROPAGATE else TrainingConfig
        check_nested(self.training_changes, config, argument="training", method=method, hidden=("seed",))
        sizes = ("n_genes", "n_features", "fusion", "branches")
        check_nested(self.network_changes, NetworkConfig, argument="network", method=method, hidden=sizes)

    def network(self, **sizes: int) -> NetworkConfig:
        """Sizes and options of the network."""
        from ..nn import NetworkConfig

        changes = {"fusion": self.fusion, "branches": self.branches, **self.network_changes, **sizes}
        return NetworkConfig.preset(self.preset or DEFAULT_PRESET, **changes)

    def training(self) -> TrainingConfig:
        """How to train."""
        from ..training import TrainingConfig

        return TrainingConfig.preset(self.preset or DEFAULT_PRESET, **{**self.training_changes, "seed": self.seed})

    def episodes(self) -> EpisodeConfig:
        """How to train the correction."""
        from ..training import EpisodeConfig

        return EpisodeConfig(**{**self.training_changes, "seed": self.seed})

    def correction(self) -> dict[str, Any]:
        """Changes of the sizes and options of the correction."""
        return {"branches": self.branches, **self.network_changes}

    def machine(self) -> Machine:
        """Where to train."""
        from ..training import Machine

        return Machine(
            self.accelerator,
            self.devices,
            self.precision,
            self.strategy,
            self.checkpoint_dir,
            self.resume_from,
            self.progress,
        )
