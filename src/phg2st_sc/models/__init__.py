"""Methods: every one behind the same protocol (``fit``, ``encode``, ``predict``, ``adapt``, ``save``, ``load``)."""

from .._arrays import Prediction, Prompts, SlideArrays, TrainingSlide
from .._registry import open_rooms
from .._row_blocks import RowBlocks
from ._arguments import check_parameters as check_parameters
from ._arguments import check_seed as check_seed
from ._base import Estimator
from ._base import predict_genes as predict_genes
from ._choice import DEFAULT_METHOD as DEFAULT_METHOD
from ._choice import choose_estimator as choose_estimator
from ._costs import Costs as Costs
from ._costs import Sizes as Sizes
from ._costs import costs_of as costs_of
from ._costs import form_of as form_of
from ._costs import measured_forms as measured_forms
from ._limits import AtLeast, Positive
from ._load import load
from ._priors import PRIORS, load_prior, priors
from ._priors import checked_prior as checked_prior
from ._registry import METHODS, create, get_method, methods, register
from ._registry import by_name as by_name
from ._store import parameters as parameters
from ._store import save
from .phg2st import PHG2ST
from .phg2st_paper import PHG2STPaper
from .published import BLEEP, HGGEP, TRIPLEX, Hist2ST, HisToGene, NetworkMethod, STNet
from .simple import IDW, BestSimple, GeneKriging, ImageRidge, Kriging, PromptMean, RegressionKriging, SpaceImageKriging

open_rooms(__name__, __path__)

__all__ = [
    "BLEEP",
    "HGGEP",
    "IDW",
    "METHODS",
    "PHG2ST",
    "PRIORS",
    "TRIPLEX",
    "AtLeast",
    "BestSimple",
    "Estimator",
    "GeneKriging",
    "HisToGene",
    "Hist2ST",
    "ImageRidge",
    "Kriging",
    "NetworkMethod",
    "PHG2STPaper",
    "Positive",
    "Prediction",
    "PromptMean",
    "Prompts",
    "RegressionKriging",
    "RowBlocks",
    "STNet",
    "SlideArrays",
    "SpaceImageKriging",
    "TrainingSlide",
    "create",
    "get_method",
    "load",
    "load_prior",
    "methods",
    "priors",
    "register",
    "save",
]
