"""One slide per step, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import numpy as np
from torch.utils.data import DataLoader, Sampler

from ...training import shared
from .batch import SlideTargets, TrainingSet, ValidationSet


class EpochOrder(Sampler[int]):
    """Random order of slides, drawn anew each epoch; resumed training meets the order it would have met.

    Parameters
    ----------
    n
        Number of slides.
    seed
        Seed of the order.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed, self.epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng((self.seed, self.epoch)).permutation(self.n).tolist()


class SlideDataModule(L.LightningDataModule):
    """Serves slides one by one.

    Parameters
    ----------
    training, validation
        The slides; an empty validation set turns validation off.
    seed
        Seed of the order.
    """

    def __init__(self, training: TrainingSet, validation: ValidationSet, *, seed: int = 0) -> None:
        super().__init__()
        self.training, self.validation, self.seed = training, validation, seed

    def train_dataloader(self) -> DataLoader[SlideTargets]:
        """Training slides in random order."""
        order = EpochOrder(len(self.training), self.seed)
        return DataLoader(self.training, batch_size=None, sampler=shared(order, self.trainer), num_workers=0)

    def val_dataloader(self) -> DataLoader[SlideTargets] | list[DataLoader[SlideTargets]]:
        """Validation slides in their order."""
        if len(self.validation) == 0:
            return []
        return DataLoader(self.validation, batch_size=None, shuffle=False, num_workers=0)
