"""A trained network with all that is needed to use it, to keep it and to say how it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ..nn import FeatureStats
from ._base import count_parameters
from ._config import Optimization
from ._run import FitResult
from ._split import Split

Network = TypeVar("Network", bound=nn.Module)
_LARGEST_CORRECTION = 10.0


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
