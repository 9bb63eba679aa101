"""Training with Lightning, shared by all networks. Importing this package loads torch and lightning.

Public is what methods take as settings; the rest may change from release to release.
"""

from ._base import TrainingModule as TrainingModule
from ._base import mean_pcc as mean_pcc
from ._config import LEAST_PROMPTS as LEAST_PROMPTS
from ._config import EpisodeConfig, SpotConfig, TrainingConfig
from ._run import FitResult as FitResult
from ._run import Machine as Machine
from ._run import device_of as device_of
from ._run import run_training as run_training
from ._share import shared as shared
from ._split import Split as Split
from ._split import inner_split as inner_split
from ._trained import TrainedNetwork as TrainedNetwork
from ._trained import level_correction as level_correction
from ._trained import training_record as training_record

__all__ = ["EpisodeConfig", "SpotConfig", "TrainingConfig"]
