"""How a network is trained, and the named sets of settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .._docs import documented

OPTIMIZERS = ("adam", "adamw")
SCHEDULES = ("step", "plateau", "one_cycle", "none")
LEAST_PROMPTS = 3
"""Of an episode."""

TRAINING_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "paper": {"lr": 1e-4, "schedule": "step", "max_epochs": 200, "patience": 20},
    "released": {
        "lr": 1e-4,
        "optimizer": "adamw",
        "weight_decay": 0.01,
        "schedule": "plateau",
        "max_epochs": 200,
        "patience": 20,
        "prompt_fraction": 0.1,
        "spots_per_step": 256,
    },
}
"""Training settings by name, beside the network sizes of the same name."""


@documented
@dataclass(frozen=True)
class Optimization:
    """Settings that all trainings share.

    Attributes
    ----------
    {lr} {optimizer} {weight_decay} {schedule} {max_epochs} {patience} {validation_fraction} {gradient_clip} {seed}
        That is initialisation, order, prompts and dropout.
    """

    lr: float = 1e-3
    optimizer: str = "adam"
    weight_decay: float = 0.0
    schedule: str = "step"
    max_epochs: int = 200
    patience: int = 30
    validation_fraction: float = 0.15
    gradient_clip: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS or self.schedule not in SCHEDULES:
            msg = (
                f"optimizer={self.optimizer!r}, schedule={self.schedule!r}: choose among {', '.join(OPTIMIZERS)} and "
                f"among {', '.join(SCHEDULES)}."
            )
            raise ValueError(msg)
        if self.max_epochs < 1 or self.patience < 0:
            msg = f"max_epochs={self.max_epochs!r} must be at least 1, and patience={self.patience!r} at least 0."
            raise ValueError(msg)
        self._check_shares("validation_fraction")

    def _check_shares(self, *names: str) -> None:
        for name in names:
            if not 0.0 <= getattr(self, name) < 1.0:
                msg = f"{name}={getattr(self, name)!r} must lie in [0, 1)."
                raise ValueError(msg)

    def as_dict(self) -> dict[str, Any]:
        """Plain record, from which the same settings can be made."""
        return asdict(self)


@documented
@dataclass(frozen=True)
class TrainingConfig(Optimization):
    """Settings of training a network that predicts by itself; one epoch shows every training slide once.

    Attributes
    ----------
    {lr} {optimizer} {weight_decay} {schedule} {max_epochs} {patience} {validation_fraction} {gradient_clip} {seed}
        That is initialisation, order, prompts and dropout.
    {prompt_fraction} {validation_prompts}
    spots_per_step
        Spots at which a step predicts; ``None`` for all of the slide. The spot branch sees the whole slide in any case.
    depth_weights
        Whether spots weigh in the loss by their total count.

    Examples
    --------
    >>> from phg2st_sc.training import TrainingConfig
    >>> TrainingConfig.preset("paper").patience
    20
    """

    prompt_fraction: float = 0.3
    validation_prompts: float = 0.1
    spots_per_step: int | None = None
    depth_weights: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_shares("prompt_fraction", "validation_prompts")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> TrainingConfig:
        """Settings by name, with changes."""
        if name not in TRAINING_PRESETS:
            msg = f"Unknown preset {name!r}; available: {', '.join(sorted(TRAINING_PRESETS))}."
            raise ValueError(msg)
        return cls(**{**TRAINING_PRESETS[name], **changes})


@documented
@dataclass(frozen=True)
class EpisodeConfig(Optimization):
    """Settings of training the networks that are averaged into the default model. All epochs are run, and the last is kept.

    Attributes
    ----------
    {lr} {optimizer} {weight_decay} {schedule} {max_epochs} {patience} {validation_fraction} {gradient_clip} {seed}
        That is initialisation, order, prompts and dropout.
    steps_per_epoch
        Steps of an epoch; ``None`` for as many as there are slides.
    fewest, most
        Smallest and largest share of a slide's spots that are drawn as prompts; shares between are drawn evenly in their
        logarithm.
    most_prompts
        Prompts at most, whatever the share: they cost.
    most_spots
        Spots of a slide that a step looks at, at most: those around one of the prompts.
    image_dropout
        Share of the steps in which an imaged slide is shown without its image.
    correlation
        Weight of the correlation in the loss, beside the squared error.
    {validation_prompts}
        On patients that a network never saw; they decide how much it counts.

    Examples
    --------
    >>> from phg2st_sc.training import EpisodeConfig
    >>> EpisodeConfig(max_epochs=10).lr
    0.001
    """

    lr: float = 1e-3
    optimizer: str = "adamw"
    weight_decay: float = 0.05
    schedule: str = "one_cycle"
    max_epochs: int = 24
    gradient_clip: float | None = 1.0
    steps_per_epoch: int | None = None
    fewest: float = 0.04
    most: float = 0.4
    most_prompts: int = 200
    most_spots: int = 600
    image_dropout: float = 0.3
    correlation: float = 0.5
    validation_prompts: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_shares("image_dropout", "validation_prompts")
        if not 0.0 < self.fewest <= self.most < 1.0:
            msg = f"fewest={self.fewest!r}, most={self.most!r}: must rise within (0, 1)."
            raise ValueError(msg)
        if (self.steps_per_epoch is not None and self.steps_per_epoch < 1) or self.most_prompts < LEAST_PROMPTS:
            msg = (
                f"steps_per_epoch={self.steps_per_epoch!r} must be at least 1, and most_prompts={self.most_prompts!r} "
                f"at least {LEAST_PROMPTS}."
            )
            raise ValueError(msg)


@documented
@dataclass(frozen=True)
class SpotConfig(Optimization):
    """Settings of training a network that predicts spots from the image alone; one epoch shows every spot once.

    Attributes
    ----------
    {lr} {optimizer} {weight_decay} {schedule} {max_epochs} {patience} {validation_fraction} {gradient_clip} {seed}
        That is initialisation, order, prompts and dropout.
    {batch_size:spots}
        ``None`` for all of a slide.
    freeze_norm
        Leave the running statistics of batch normalisation as they are.

    Examples
    --------
    >>> from phg2st_sc.training import SpotConfig
    >>> SpotConfig(batch_size=128).optimizer
    'adam'
    """

    max_epochs: int = 60
    patience: int = 10
    batch_size: int | None = None
    freeze_norm: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size is not None and self.batch_size < 2:
            msg = f"batch_size={self.batch_size!r} must be at least 2, or None for whole slides."
            raise ValueError(msg)
