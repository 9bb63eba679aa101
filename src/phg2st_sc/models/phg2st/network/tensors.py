"""A slide and its prompts as the network takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...._arrays import SlideArrays
from ....graph import HypergraphOperator
from ....linear import Places
from ..propagated import Looks, propagated_components, spot_incidence
from .views import Views, views_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SlideInput:
    """Image side of a slide.

    Attributes
    ----------
    positions
        (n, 2) in lattice pitches.
    propagation
        Along the spot hypergraph.
    looks
        (n, c) image components in units of their typical distance on the slide, or ``None``.
    features
        (n, 2 F) features of spots and of their surroundings, standardised over the slide, of which some spots at a time are
        asked for; ``None`` without.
    """

    positions: Tensor
    propagation: Any
    looks: Tensor | None = None
    features: Tensor | Views | None = None
    _elsewhere: dict[torch.device, SlideInput] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, slide: SlideArrays, *, image: bool, tokens: bool, engine: str = "auto", places: Places | None = None
    ) -> SlideInput:
        """Tensors of a slide on the CPU; ``image=False``: as if it had none, ``tokens``: with features.

        ``places`` are those of :func:`propagated_components`, where they are known already.
        """
        incidence = spot_incidence(slide)
        positions = torch.from_numpy(np.ascontiguousarray(slide.positions, np.float32))
        operator = HypergraphOperator(incidence, engine=engine)
        if not image or slide.features is None:
            return cls(positions, operator)
        if places is None:
            places = Places.of(slide.positions, propagated_components(Looks(slide, "phg2st")))
        looks = _tensor(np.asarray(places.image) / places.image_scale)
        if not tokens:
            return cls(positions, operator, looks)
        return cls(positions, operator, looks, views_of(slide.features, incidence, slide.positions))

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return len(self.positions)

    def to(self, device: Any) -> SlideInput:
        """The same on another device; it stays there, so that a graph is prepared once for all steps."""
        where = torch.device(device)
        if where == self.positions.device:
            return self
        if where not in self._elsewhere:
            looks = None if self.looks is None else self.looks.to(where)
            features = self.features.to(where) if isinstance(self.features, Tensor) else self.features
            self._elsewhere[where] = SlideInput(self.positions.to(where), self.propagation.to(where), looks, features)
        return self._elsewhere[where]

    def part(self, rows: Tensor) -> SlideInput:
        """Some of its spots, with the hyperedges among them."""
        index = rows.numpy()
        incidence = self.propagation.incidence[index][:, index]
        looks, features = (None if one is None else one[rows] for one in (self.looks, self.features))
        operator = HypergraphOperator(incidence, engine=self.propagation.engine)
        return SlideInput(self.positions[rows], operator, looks, features)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the prompts say, in k components of unit signal variance.

    Attributes
    ----------
    index
        (p,) int64, the prompts.
    observed
        (p, k) measurements.
    noise
        (p, k) their noise variance.
    depth
        Counts of the median prompt.
    """

    index: Tensor
    observed: Tensor
    noise: Tensor
    depth: float

    @classmethod
    def of(cls, index: NDArray[np.int64], columns: Array, noise: Array, depth: float, scale: Array) -> Evidence:
        """From measured components (p, k), noise variances (p,) relative to the median prompt, and (k,) scales."""
        variance = noise[:, None] / (max(depth, 1e-12) * scale**2)
        return cls(torch.from_numpy(np.asarray(index)), _tensor(columns / scale), _tensor(variance), float(depth))

    def to(self, device: Any) -> Evidence:
        """The same on another device."""
        return Evidence(self.index.to(device), self.observed.to(device), self.noise.to(device), self.depth)

    def part(self, rows: Tensor, n: int) -> Evidence:
        """The prompts among some of n spots."""
        place = torch.full((n,), -1).index_copy(0, rows, torch.arange(len(rows)))
        kept = place[self.index] >= 0
        return Evidence(place[self.index[kept]], self.observed[kept], self.noise[kept], self.depth)


def _tensor(values: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
