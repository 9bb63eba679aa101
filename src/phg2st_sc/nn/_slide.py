"""One slide as tensors: what does not depend on its prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor


class Propagation(Protocol):
    """Linear map along the spot hypergraph: D_v^-1 H D_e^-1 H^T."""

    def __call__(self, x: Tensor) -> Tensor:
        """Propagate (n, d) node features."""

    def to(self, device: Any) -> Propagation:
        """The same map on another device."""


@dataclass(frozen=True, eq=False)
class SlideTensors:
    """Image side of a slide.

    Attributes
    ----------
    positions
        (n, 2) spot centres in lattice pitches.
    propagation
        Along the spot hypergraph.
    features
        (n, F) spot features; ``None`` for a slide without an image.
    tiles
        (t, F) features of the tiles around the spots, or ``None``.
    context_index
        (n, 25) int64 into ``tiles``, -1 where there is no tile.
    context_operator
        (n, 25, 25) propagation within each spot's own tiles.
    """

    positions: Tensor
    propagation: Propagation
    features: Tensor | None = None
    tiles: Tensor | None = None
    context_index: Tensor | None = None
    context_operator: Tensor | None = None
    _elsewhere: dict[torch.device, SlideTensors] = field(default_factory=dict, repr=False)

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self.positions.shape[0])

    def to(self, device: Any) -> SlideTensors:
        """The same slide on another device; it stays there, so that a graph is prepared once for all steps."""
        where = torch.device(device)
        if where == self.positions.device:
            return self
        if where not in self._elsewhere:
            self._elsewhere[where] = SlideTensors(
                self.positions.to(where),
                self.propagation.to(where),
                _moved(self.features, where),
                _moved(self.tiles, where),
                _moved(self.context_index, where),
                _moved(self.context_operator, where),
            )
        return self._elsewhere[where]


def _moved(value: Tensor | None, where: torch.device) -> Tensor | None:
    return None if value is None else value.to(where)


def in_full_precision(propagation: Propagation, x: Tensor) -> Tensor:
    """Propagate in float32 whatever the autocast: sparse products have no half-precision kernels everywhere."""
    with torch.autocast(device_type=x.device.type, enabled=False):
        return propagation(x.float()).to(x.dtype)
