"""Training with Lightning, shared by all networks. Importing this package loads torch and lightning."""

from ._batch import TrainingSet, ValidationSet
from ._config import TRAINING_PRESETS, EpisodeConfig, TrainingConfig
from ._data import SlideDataModule
from ._episode_module import EpisodeModule, train_correction
from ._episodes import Episode, EpisodeSlide
from ._module import SlideModule
from ._run import FitResult, Machine, device_of, train_network
from ._split import Split, inner_split

__all__ = [
    "TRAINING_PRESETS",
    "Episode",
    "EpisodeConfig",
    "EpisodeModule",
    "EpisodeSlide",
    "FitResult",
    "Machine",
    "SlideDataModule",
    "SlideModule",
    "Split",
    "TrainingConfig",
    "TrainingSet",
    "ValidationSet",
    "device_of",
    "inner_split",
    "train_correction",
    "train_network",
]
