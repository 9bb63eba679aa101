"""A trained network with all that is needed to use it, to keep it and to say how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ..nn import FeatureStats
from ._base import count_parameters
from ._config import Optimization
from ._run import FitResult
from ._split import Split

Network = TypeVar("Network", bound=nn.Module)
_LARGEST_CORRECTION = 10.0
_NETWORK, _EXTRA, _MEAN, _SCALE = "network", "extra", "features.mean", "features.scale"
_COMMON = ("network", "stats", "level")


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedNetwork(Generic[Network]):
    """A trained network; those of a family of methods have further fields, all of which are kept.

    Attributes
    ----------
    network
        In evaluation mode; has its sizes as ``network.config``.
    stats
        Mean and scale of the training features; ``None`` for a network that looks at none.
    level
        (G,) factor from what the network predicts to rates; ``None`` where there is none to learn.
    record
        How training went, for the card.
    """

    network: Network
    stats: FeatureStats | None = None
    level: NDArray[np.float32] | None = None
    record: dict[str, Any] = field(default_factory=dict)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Settings and arrays to keep."""
        settings: dict[str, Any] = {_NETWORK: self.network.config.as_dict()}  # type: ignore[operator,union-attr]
        arrays = {f"{_NETWORK}.{name}": v.detach().cpu().numpy() for name, v in self.network.state_dict().items()}
        if self.stats is not None:
            arrays |= {_MEAN: self.stats.mean, _SCALE: self.stats.scale}
        if self.level is not None:
            arrays["level"] = self.level
        for name in self._further():
            value = getattr(self, name)
            if name == _EXTRA:
                arrays |= {f"{_EXTRA}.{key}": array for key, array in value.items()}
            else:
                (arrays if isinstance(value, np.ndarray) else settings)[name] = value
        return settings, arrays

    @classmethod
    def restored(cls, network: Network, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Self:
        """What :meth:`state` returned, with the weights put into ``network``."""
        network.load_state_dict({name: torch.from_numpy(v) for name, v in _under(_NETWORK, arrays).items()})
        further: dict[str, Any] = {n: source[n] for n in cls._further() for source in (settings, arrays) if n in source}
        if _EXTRA in cls._further():
            further[_EXTRA] = _under(_EXTRA, arrays)
        return cls(
            network=network.eval(),
            stats=FeatureStats(arrays[_MEAN], arrays[_SCALE]) if _MEAN in arrays else None,
            level=arrays.get("level"),
            **further,
        )

    @classmethod
    def _further(cls) -> list[str]:
        return [one.name for one in fields(cls) if one.name not in _COMMON]


def _under(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    start = f"{name}."
    return {key.removeprefix(start): array for key, array in arrays.items() if key.startswith(start)}


def level_correction(counts: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """(G,) counts over predicted counts, within a factor of ten.

    A network learns the mean of logarithms, which at few counts lies far below the logarithm of the mean rate.
    """
    return np.clip((counts + 1.0) / (predicted + 1.0), 1.0 / _LARGEST_CORRECTION, _LARGEST_CORRECTION)


def training_record(
    result: FitResult, split: Split, names: Sequence[str], network: nn.Module, config: Optimization
) -> dict[str, Any]:
    """What the card says about training on slides of these names."""
    facts = {
        "unit": split.unit,
        "validation": [names[i] for i in split.validation],
        "epochs": len(result.losses),
        "best_epoch": result.best_epoch,
        "best_score": result.best_score,
        "losses": [float(loss) for loss in result.losses],
        "scores": [float(score) for score in result.scores],
        "n_parameters": count_parameters(network),
        "settings": {k: v for k, v in config.as_dict().items() if v is not None},
    }
    return {key: value for key, value in facts.items() if value is not None}
