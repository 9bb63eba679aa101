"""The Lightning module of a correction: one episode, one step; and the running of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from ....training import EpisodeConfig, FitResult, Machine, TrainingModule, run_training, shared
from .draws import (
    Episode,
    EpisodeSlide,
    MakeEpisode,
    episode_loss,
    fixed_episodes,
    mean_correlation,
    training_draw,
    window,
)
from .network import CorrectionNetwork


class EpisodeModule(TrainingModule):
    """Trains a network to correct a linear prediction.

    Parameters
    ----------
    network
        The network.
    config
        Settings.
    slides
        Slides to train on.
    make
        Makes the episodes.
    """

    score = "val_gain"

    def __init__(
        self, network: CorrectionNetwork, config: EpisodeConfig, slides: Sequence[EpisodeSlide], make: MakeEpisode
    ) -> None:
        super().__init__(network, config, run={"spots": [len(slide.positions) for slide in slides]})
        self.slides, self.make = list(slides), make

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """Loss of one newly drawn episode."""
        drawn = self.make(*training_draw(self.slides, self.settings, self._rng(1)))
        episode = window(drawn, self.settings.most_spots, self._rng(3)).to(self.device)
        correction = self.network(episode.slide, episode.evidence)
        return self._logged(episode_loss(correction, episode, correlation=self.settings.correlation))

    def validation_step(self, batch: Episode, batch_idx: int) -> None:
        """Correlation gained over the linear prediction."""
        episode = batch.to(self.device)
        predicted = episode.evidence.predicted
        correction = self.network(episode.slide, episode.evidence)
        gain = mean_correlation(predicted + correction, episode) - mean_correlation(predicted, episode)
        self.log(self.score, gain, on_epoch=True, prog_bar=True, batch_size=1, sync_dist=True)


class _Steps(Dataset[int]):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> int:
        return index

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.n))


class _Fixed(Dataset[Episode]):
    def __init__(self, episodes: Sequence[Episode]) -> None:
        self.episodes = list(episodes)

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, index: int) -> Episode:
        return self.episodes[index]


class EpisodeData(L.LightningDataModule):
    """So many steps an epoch, and fixed episodes to validate on.

    Parameters
    ----------
    steps
        Steps of an epoch; the module draws their episodes.
    validation
        Fixed episodes; none turns validation off.
    """

    def __init__(self, steps: int, validation: Sequence[Episode]) -> None:
        super().__init__()
        self.steps, self.validation = _Steps(steps), _Fixed(validation)

    def train_dataloader(self) -> DataLoader[int]:
        """Numbers of the steps."""
        steps = shared(SequentialSampler(self.steps), self.trainer)
        return DataLoader(self.steps, batch_size=None, sampler=steps, num_workers=0)

    def val_dataloader(self) -> DataLoader[Episode] | list[DataLoader[Episode]]:
        """The fixed episodes."""
        return DataLoader(self.validation, batch_size=None, num_workers=0) if len(self.validation) else []


def train_correction(
    network: CorrectionNetwork,
    training: Sequence[EpisodeSlide],
    validation: Sequence[EpisodeSlide],
    make: MakeEpisode,
    config: EpisodeConfig,
    machine: Machine | None = None,
) -> FitResult:
    """Train a correction in place, and leave it with the weights of its best epoch, in evaluation mode.

    Parameters
    ----------
    network
        The network.
    training, validation
        Slides; without validation slides the last epoch is kept.
    make
        Makes the episodes.
    config
        Settings.
    machine
        Where to run.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`train_network`.
    """
    checks = fixed_episodes(validation, make, config, draw=0)
    module = EpisodeModule(network, config, training, make)
    data = EpisodeData(config.steps_per_epoch, checks)
    return run_training(module, data, machine or Machine(), validated=bool(checks))


def corrections(network: CorrectionNetwork, episodes: Sequence[Episode]) -> list[Tensor]:
    """Correction (n, k) of each episode, without dropout."""
    network.eval()
    with torch.inference_mode():
        return [network(episode.slide, episode.evidence) for episode in episodes]
