"""Training with Lightning, shared by all networks. Importing this package loads torch and lightning."""

from ._base import TrainingModule as TrainingModule
from ._config import LEAST_PROMPTS as LEAST_PROMPTS
from ._config import TRAINING_PRESETS, EpisodeConfig, SpotConfig, TrainingConfig
from ._run import FitResult, Machine, device_of, run_training
from ._split import Split, inner_split
from ._trained import TrainedNetwork as TrainedNetwork
from ._trained import level_correction as level_correction
from ._trained import training_record as training_record

__all__ = [
    "TRAINING_PRESETS",
    "EpisodeConfig",
    "FitResult",
    "Machine",
    "Split",
    "SpotConfig",
    "TrainingConfig",
    "device_of",
    "inner_split",
    "run_training",
]
