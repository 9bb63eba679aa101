"""The simple methods: what every other method has to beat."""

from .best_simple import BestSimple
from .gene_kriging import GeneKriging
from .idw import IDW
from .image_ridge import ImageRidge
from .kriging import Kriging
from .prompt_mean import PromptMean
from .regression_kriging import RegressionKriging
from .space_image_kriging import SpaceImageKriging

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
