"""The Lightning module of a committee: one episode of each network, one step; and the running of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from ....training import EpisodeConfig, FitResult, Machine, TrainingModule, run_training, shared
from .draws import EpisodeSlide, MakeEpisode, episode_loss, training_draw, window
from .network import Committee


class EpisodeModule(TrainingModule):
    """Trains the networks of a committee, each on slides of its own.

    Parameters
    ----------
    committee
        The networks.
    config
        Settings.
    slides
        Slides of each network.
    make
        Makes the episodes.
    """

    def __init__(
        self,
        committee: Committee,
        config: EpisodeConfig,
        slides: Sequence[Sequence[EpisodeSlide]],
        make: MakeEpisode,
    ) -> None:
        spots = [[len(slide.positions) for slide in own] for own in slides]
        super().__init__(committee, config, run={"spots": spots})
        self.slides, self.make = [list(own) for own in slides], make
        self.steps = config.steps_per_epoch or max(len(own) for own in slides)

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """Mean loss over one newly drawn episode of each network."""
        rng = self._rng(1)
        losses = []
        for network, own in zip(self.network.networks, self.slides, strict=True):
            drawn = self.make(*training_draw(self._slide(own, batch), self.settings, rng))
            episode = window(drawn, self.settings.most_spots, rng).to(self.device)
            whole, alone = network(episode.slide, episode.evidence)
            loss = episode_loss(whole, alone, episode, correlation=self.settings.correlation)
            # all parameters take part in every step, as distributed training asks for
            losses.append(loss + 0.0 * sum(parameter.sum() for parameter in network.parameters()))
        return self._logged(torch.stack(losses).mean())

    def _slide(self, own: Sequence[EpisodeSlide], batch: int) -> EpisodeSlide:
        """Every slide once in as many steps, in an order that is drawn anew."""
        turn, place = divmod(self.current_epoch * self.steps + int(batch), len(own))
        return own[int(np.random.default_rng((self.settings.seed, 7, turn)).permutation(len(own))[place])]


class _Steps(Dataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        return index

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))


class EpisodeData(L.LightningDataModule):
    """So many steps an epoch; the module draws their episodes.

    Parameters
    ----------
    steps
        Steps of an epoch.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = _Steps(steps)

    def train_dataloader(self) -> DataLoader[int]:
        """Numbers of the steps."""
        steps = shared(SequentialSampler(self.steps), self.trainer)
        return DataLoader(self.steps, batch_size=None, sampler=steps, num_workers=0)


def train_committee(
    committee: Committee,
    slides: Sequence[Sequence[EpisodeSlide]],
    make: MakeEpisode,
    config: EpisodeConfig,
    machine: Machine,
) -> FitResult:
    """Train a committee in place, and leave it in evaluation mode; the last epoch is kept.

    Parameters
    ----------
    committee
        The networks.
    slides
        Slides of each.
    make
        Makes the episodes.
    config
        Settings.
    machine
        Where to run.

    Raises
    ------
    FileNotFoundError, ValueError
        Where a checkpoint to resume from is not there, or does not fit.
    """
    module = EpisodeModule(committee, config, slides, make)
    return run_training(module, EpisodeData(module.steps), machine, validated=False)
