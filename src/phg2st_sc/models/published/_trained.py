"""A published network, trained, and how it sees a slide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays
from ...nn import FeatureStats
from ...training import TrainedNetwork
from ._network import SpotNetwork
from ._slides import PatchSize, SlideSource, check_width, slide_source

_FEWEST_OF_OWN = 10
"""Spots from which on a slide has a mean and scale of its own."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedSpotNetwork(TrainedNetwork[SpotNetwork]):
    """A published network and what is needed to use it.

    ``level`` is the factor from the predicted share in the panel to the rate over all genes.

    Attributes
    ----------
    by_slide
        Whether features are standardised within each slide.
    fine_tune
        How far to tune on the prompts of a slide.
    tuned
        How far it was.
    origin
        Where the weights of the image encoder come from.
    extra
        Further arrays of a method.
    """

    level: Annotated[NDArray[np.float32], "G", ">= 0"]
    by_slide: bool = True
    fine_tune: Annotated[int, ">= 0"] = 0
    tuned: Annotated[int, ">= 0"] = 0
    origin: dict[str, str] = field(default_factory=dict)
    extra: dict[str, NDArray[Any]] = field(default_factory=dict)

    def source(self, slide: SlideArrays, patch: PatchSize | None) -> SlideSource:
        """Tensors of a slide."""
        stats = self.stats
        if stats is not None and self.by_slide and slide.features is not None and slide.n_spots >= _FEWEST_OF_OWN:
            check_width(slide, stats.mean.size)
            stats = FeatureStats.of([slide.features], stats.mean.size)
        return slide_source(slide, self.network, stats, patch)
