"""BLEEP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...._docs import documented
from ....linear import even_subset
from ..._registry import register
from .._method import NetworkMethod, Preset

if TYPE_CHECKING:
    from .._network import SpotNetwork
    from .._recipe import MeasuredSpots, NetworkRecipe
    from .._slides import SlideSource
    from .._steps import MeasuredSource
    from .._trained import TrainedSpotNetwork
    from .network import BLEEPNetwork

_BANK, _WEIGHT = "bank", "bank_weight"
_MOST_IN_BANK = 20_000


@register
@documented
class BLEEP(NetworkMethod):
    """BLEEP: pictures and expression in one space, learned by contrast; a spot is predicted by the measured spots near it there.

    Two encoders, of the picture and of the expression, are trained so that the two embeddings of a spot are alike. A
    prediction is the mean expression of the 50 spots of a bank whose embedded expression is nearest to the embedded picture
    by cosine. The bank holds the training spots, whose expression is thereby part of a saved or shared model. Nothing is
    tuned on a new slide: its prompts join the bank.

    ``preset="paper"``: ResNet-50 on pictures of 224 px, common space of 256 (24.4 M parameters at 785 genes), temperature 1,
    AdamW at 1e-3 with decay 1e-3, batches of 256 spots of all slides, 4 epochs. ``preset="default"``: frozen embeddings.

    What differs from the publication:

    - Prompts in the bank. How many times one counts is chosen on left-out training slides.
    - Expression is ln(1 + 10,000 x share in the panel), without correction between slides; published is expression corrected
      by Harmony over training and test slides together, which a slide with a few prompts does not allow.
    - Weights are kept by the correlation on left-out patients; published is the loss at spots of the training slides.
    - At most a tenth of the bank is averaged: the mean over a small bank would be the same at every spot. At most 20,000
      training spots are in it, evenly taken.
    - Pictures are 112 µm wide on every slide; published are 224 px of the scan, whatever its scale.
    - ``inputs="features"`` takes frozen embeddings in place of the image encoder. The projection to the common space stays, in
      prediction too.

    Source: Xie, Pang, Chung, Perciani, MacParland, Wang and Bader, "Spatially resolved gene expression prediction from H&E
    histology images via bi-modal contrastive learning", NeurIPS 2023, arXiv 2306.01859.

    Parameters
    ----------
    {published_settings:bank}

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> phg2st.models.BLEEP(preset="paper").spot_config().batch_size
    256
    """

    name = "bleep"
    paper = "NeurIPS 2023, arXiv 2306.01859"
    tuning: ClassVar = (0, 1, 3, 10, 30)
    untried_tuning = 1
    presets: ClassVar = {
        "default": Preset(
            network={"width": 128},
            training={
                "lr": 1e-3,
                "optimizer": "adamw",
                "weight_decay": 1e-3,
                "batch_size": 128,
                "max_epochs": 60,
                "patience": 15,
                "schedule": "none",
            },
        ),
        "paper": Preset(
            inputs="patches",
            training={
                "lr": 1e-3,
                "optimizer": "adamw",
                "weight_decay": 1e-3,
                "batch_size": 256,
                "max_epochs": 4,
                "patience": 0,
                "schedule": "none",
            },
        ),
    }

    def _network_type(self) -> type[BLEEPNetwork]:
        from .network import BLEEPNetwork

        return BLEEPNetwork

    def _pretrain(self, network: SpotNetwork) -> str:
        from .._pictures import pretrain

        return pretrain(network.backbone, self.weights, method=self.name)  # type: ignore[arg-type]

    def recipe(self) -> NetworkRecipe:
        """How the network is made and trained; prompts join the bank in place of tuning."""
        return replace(super().recipe(), prepare=_with_bank, tune=self._with_prompts)

    def _with_prompts(
        self, trained: TrainedSpotNetwork, slide: MeasuredSpots, source: SlideSource, amount: int
    ) -> TrainedSpotNetwork:
        prompts = self.target.expression(slide.counts)
        weight = np.full(len(prompts), amount, dtype=np.float32)
        extra = {
            _BANK: np.concatenate([trained.extra[_BANK], prompts]),
            _WEIGHT: np.concatenate([trained.extra[_WEIGHT], weight]),
        }
        network: Any = trained.network
        return _set_bank(replace(trained, network=network.own_bank(), extra=extra, tuned=amount))

    def set_state(self, settings: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        """Restore what :meth:`state` returned."""
        super().set_state(settings, arrays)
        if self._trained is not None:
            _set_bank(self._trained)


def _with_bank(trained: TrainedSpotNetwork, slides: Sequence[MeasuredSource]) -> TrainedSpotNetwork:
    expression = np.concatenate([one.targets.expression.numpy() for one in slides])
    bank = expression[even_subset(len(expression), _MOST_IN_BANK)]
    return _set_bank(replace(trained, extra={_BANK: bank, _WEIGHT: np.ones(len(bank), dtype=np.float32)}))


def _set_bank(trained: TrainedSpotNetwork) -> TrainedSpotNetwork:
    """Let the network retrieve from the bank of what was trained."""
    import torch

    network: Any = trained.network
    network.set_bank(torch.from_numpy(trained.extra[_BANK]), torch.from_numpy(trained.extra[_WEIGHT]))
    return trained
