"""What training asks of a method: its network, its target, and how far to tune on prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays

if TYPE_CHECKING:
    from ...training import Machine, SpotConfig
    from ._network import SpotNetwork
    from ._slides import PatchSize, SlideSource
    from ._steps import MeasuredSource
    from ._trained import TrainedSpotNetwork

SHARE_SCALE = 1e4
_LARGEST = np.log10(1.0 + SHARE_SCALE)
"""Base-ten logarithm of a gene that has all counts of the panel."""


class NaturalLog:
    """The target ln(1 + 10,000 x share in the panel)."""

    def expression(self, counts: NDArray[np.floating]) -> NDArray[np.float32]:
        """(m, G) target of spots with (m, G) counts over the panel."""
        panel = np.maximum(counts.sum(axis=1, dtype=np.float64), 1.0)
        return np.log1p(SHARE_SCALE * counts / panel[:, None]).astype(np.float32)

    def share(self, output: NDArray[np.float32]) -> NDArray[np.float64]:
        """Shares in the panel, up to a factor per gene, of what the network predicts: the inverse."""
        return np.expm1(np.maximum(output.astype(np.float64), 0.0)) / SHARE_SCALE


class BaseTenLog(NaturalLog):
    """The target log10(1 + 10,000 x share in the panel).

    The shares that are predicted at a spot are made to add up to 1: each gene is predicted by itself, and what they have in
    common may come out far too high or low on another slide.
    """

    def expression(self, counts: NDArray[np.floating]) -> NDArray[np.float32]:
        """(m, G) target of spots with (m, G) counts over the panel."""
        return (super().expression(counts) / np.log(10.0)).astype(np.float32)

    def share(self, output: NDArray[np.float32]) -> NDArray[np.float64]:
        """Shares in the panel of what the network predicts."""
        share = np.expm1(np.clip(output.astype(np.float64), 0.0, _LARGEST) * np.log(10.0))
        return share / np.maximum(share.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


@dataclass(frozen=True, eq=False)
class MeasuredSpots:
    """A slide of which some spots were measured.

    Attributes
    ----------
    arrays
        Image side of the slide.
    rows
        (m,) measured spots.
    counts
        (m, G) over the panel.
    totals
        (m,) over all genes.
    lacking
        Genes of the panel that were not measured: neither taught nor scored.
    """

    arrays: SlideArrays
    rows: NDArray[np.int64]
    counts: NDArray[np.float32]
    totals: NDArray[np.float64]
    lacking: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def counted(self) -> NDArray[np.int64]:
        """Places, among the measured spots, of those with counts over the panel."""
        return np.flatnonzero(self.counts.sum(axis=1) > 0)

    def take(self, keep: NDArray[np.int64]) -> MeasuredSpots:
        """Some of the measured spots."""
        return replace(self, rows=self.rows[keep], counts=self.counts[keep], totals=self.totals[keep])


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkRecipe:
    """How a method's network is made, trained and tuned.

    Attributes
    ----------
    target
        What the network predicts.
    new_network
        From the size of the panel, and the width of the embeddings where there are any.
    patch_size
        Of the pictures that a network reads; ``None`` for one that looks at embeddings.
    pretrain
        Loads weights of the image encoder and says where they come from, empty where there is none; ``None`` without pictures.
    prepare
        Called before training with the slides to train on; ``None`` where nothing else has to be learned.
    tune
        Tunes to a slide on its prompts, so far; ``None`` for further training of the network.
    reads_features
        Whether the network looks at embeddings.
    by_slide
        Whether these are standardised within each slide.
    config, machine
        How and where to train.
    fine_tune
        How far to tune; ``None`` chooses among ``tuning`` on left-out slides, and takes ``untried_tuning`` where there are none.
    fine_tune_lr
        Rate of tuning.
    """

    target: NaturalLog
    new_network: Callable[[int, int | None], SpotNetwork]
    patch_size: Callable[[SpotNetwork], PatchSize | None]
    pretrain: Callable[[SpotNetwork], str] | None
    prepare: Callable[[TrainedSpotNetwork, Sequence[MeasuredSource]], TrainedSpotNetwork] | None
    tune: Callable[[TrainedSpotNetwork, MeasuredSpots, SlideSource, int], TrainedSpotNetwork] | None
    reads_features: bool
    by_slide: bool
    config: SpotConfig
    machine: Machine
    fine_tune: int | None
    fine_tune_lr: float
    tuning: tuple[int, ...]
    untried_tuning: int
