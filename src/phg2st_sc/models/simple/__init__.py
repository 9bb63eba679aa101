"""The simple methods: what every other method has to beat."""

# From the plainest on: `compare="simple"` lists methods in the order in which they register.
# isort: off
from .prompt_mean import PromptMean
from .idw import IDW
from .kriging import Kriging
from .gene_kriging import GeneKriging
from .image_ridge import ImageRidge
from .space_image_kriging import SpaceImageKriging
from .regression_kriging import RegressionKriging
from .best_simple import BestSimple
# isort: on

__all__ = [
    "IDW",
    "BestSimple",
    "GeneKriging",
    "ImageRidge",
    "Kriging",
    "PromptMean",
    "RegressionKriging",
    "SpaceImageKriging",
]
