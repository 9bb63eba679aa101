"""Methods: every one behind the same protocol (``fit``, ``encode``, ``predict``, ``adapt``, ``save``, ``load``)."""

from .._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from ._base import Estimator
from ._network_method import NetworkMethod
from ._registry import create, get_method, methods, register
from ._store import load, save
from .best_simple import BestSimple
from .bleep import BLEEP
from .gene_kriging import GeneKriging
from .hggep import HGGEP
from .hist2st import Hist2ST
from .histogene import HisToGene
from .idw import IDW
from .image_ridge import ImageRidge
from .kriging import Kriging
from .phg2st import PHG2ST
from .prompt_mean import PromptMean
from .regression_kriging import RegressionKriging
from .space_image_kriging import SpaceImageKriging
from .stnet import STNet
from .triplex import TRIPLEX

__all__ = [
    "BLEEP",
    "HGGEP",
    "IDW",
    "PHG2ST",
    "TRIPLEX",
    "BestSimple",
    "Estimator",
    "GeneKriging",
    "HisToGene",
    "Hist2ST",
    "ImageRidge",
    "Kriging",
    "NetworkMethod",
    "Prediction",
    "PromptMean",
    "Prompts",
    "RegressionKriging",
    "STNet",
    "SlideArrays",
    "SpaceImageKriging",
    "TrainingSlide",
    "create",
    "get_method",
    "load",
    "methods",
    "register",
    "save",
]
