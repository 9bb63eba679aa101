"""How image features enter: standardised, projected where their width differs, replaced where there is no image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class FeatureStats:
    """Mean and scale (F,) of the features of the training slides, of spots and of tiles."""

    mean: Annotated[NDArray[np.float32], "f"]
    scale: Annotated[NDArray[np.float32], "f", "> 0"]

    @classmethod
    def of(cls, arrays: list[NDArray[np.floating]], n_features: int) -> FeatureStats:
        """Statistics over rows of all arrays; the identity where there are none."""
        if not arrays:
            return cls(np.zeros(n_features, np.float32), np.ones(n_features, np.float32))
        rows = np.concatenate([np.asarray(a, dtype=np.float64) for a in arrays])
        scale = rows.std(axis=0)
        return cls(rows.mean(axis=0).astype(np.float32), np.where(scale > 1e-6, scale, 1.0).astype(np.float32))

    def apply(self, features: NDArray[np.floating]) -> NDArray[np.float32]:
        """Standardise."""
        return ((np.asarray(features, dtype=np.float32) - self.mean) / self.scale).astype(np.float32)


class FeatureInput(nn.Module):
    """Image features to tokens.

    Features are standardised by the mean and scale of the training slides (:meth:`standardize`). Where there is no image
    a learned token stands in, which starts as the mean of the training features.

    Parameters
    ----------
    n_features
        Width of the features.
    width
        Width of the tokens; equal widths need no projection.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.missing = nn.Parameter(torch.zeros(n_features))
        self.project = nn.Identity() if n_features == width else nn.Linear(n_features, width)

    def standardize(self, mean: Tensor, scale: Tensor) -> None:
        """Set mean and scale of the training features."""
        self.mean.copy_(mean)
        self.scale.copy_(scale)

    def standardized(self, features: Tensor) -> Tensor:
        """Features (..., F) by the mean and scale of the training features."""
        return (features.to(self.mean.dtype) - self.mean) / self.scale

    def forward(self, features: Tensor | None, shape: tuple[int, ...]) -> Tensor:
        """Tokens (*shape, d) of features (*shape, F), or of their absence."""
        if features is None:
            return self.project(self.missing).expand(*shape, -1)
        tokens = self.project(self.standardized(features))
        # all parameters take part in every step, as distributed training asks for
        return tokens + 0.0 * self.missing.sum()
