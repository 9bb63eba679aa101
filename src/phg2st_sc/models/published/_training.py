"""The Lightning module of networks that predict spots from the image alone, and fine-tuning without Lightning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...nn import own_randomness
from ...training import FitResult, Machine, SpotConfig, TrainingModule, mean_pcc, run_training
from ._network import SpotNetwork
from ._slides import SlideSource
from ._steps import MeasuredSource, SpotData, SpotStep, make_step, plan_epoch

_CHUNK = 256
"""Spots that are predicted at a time."""


class SpotModule(TrainingModule):
    """Trains a network that predicts spots from the image.

    Parameters
    ----------
    network
        The network; it has its own loss.
    config
        Settings.
    sizes
        MeasuredSpots spots of the training slides.
    """

    def __init__(self, network: SpotNetwork, config: SpotConfig, sizes: Sequence[int]) -> None:
        super().__init__(network, config, run={"spots": list(sizes)})

    def training_step(self, batch: SpotStep, batch_idx: int) -> Tensor:
        """Loss of one step."""
        if self.settings.freeze_norm:
            freeze_norm(self.network)
        return self._logged(self.network.training_loss(batch.inputs, batch.targets))

    def validation_step(self, batch: MeasuredSource, batch_idx: int) -> None:
        """Depth-free correlation at the measured spots of one slide."""
        score = score_slide(self.network, batch)
        self.log(self.score, score, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True)


def train_spot_network(
    network: SpotNetwork,
    training: Sequence[MeasuredSource],
    validation: Sequence[MeasuredSource],
    config: SpotConfig,
    machine: Machine,
) -> FitResult:
    """Train a network in place, and leave it with the weights of its best epoch, on the CPU, in evaluation mode."""
    module = SpotModule(network, config, [len(one.rows) for one in training])
    data = SpotData(training, validation, batch_size=config.batch_size, mixed=network.mixes_slides, seed=config.seed)
    return run_training(module, data, machine, validated=len(validation) > 0)


def fine_tune(network: SpotNetwork, slide: MeasuredSource, *, epochs: int, lr: float, config: SpotConfig) -> None:
    """Go on training in place on the measured spots of one slide, with batch statistics as they are."""
    device = next(network.parameters()).device
    optimizer = torch.optim.Adam(network.parameters(), lr=lr)
    with own_randomness():
        for epoch in range(epochs):
            rng = np.random.default_rng((config.seed, 5, epoch))
            torch.manual_seed(int(rng.integers(2**31)))
            for plan in plan_epoch([len(slide.rows)], config.batch_size, mixed=False, rng=rng):
                step = make_step([slide], plan).to(device)
                network.train()
                freeze_norm(network)
                optimizer.zero_grad()
                network.training_loss(step.inputs, step.targets).backward()
                if config.gradient_clip is not None:
                    nn.utils.clip_grad_norm_(network.parameters(), config.gradient_clip)
                optimizer.step()
    network.eval()


def predict_spots(network: SpotNetwork, source: SlideSource, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(r, G) prediction in evaluation mode; a network that looks at spots or parts of them takes a chunk at a time."""
    training, device = network.training, next(network.parameters()).device
    parts = [rows] if network.patches_at == "all" else np.array_split(rows, max(1, -(-len(rows) // _CHUNK)))
    network.eval()
    try:
        with torch.inference_mode():
            out = [network(source.inputs(part).to(device)).float().cpu().numpy() for part in parts]
    finally:
        network.train(training)
    return np.concatenate(out)


def score_slide(network: SpotNetwork, slide: MeasuredSource) -> float:
    """Depth-free correlation over the rows of a validation slide, mean over genes."""
    if slide.truth is None:
        raise ValueError("A validation slide needs targets.")
    predicted = predict_spots(network, slide.source, slide.rows)
    return mean_pcc(slide.truth, predicted)


def freeze_norm(network: nn.Module) -> None:
    """Batch normalisation by its running statistics: a few spots of one slide are no sample of any."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
