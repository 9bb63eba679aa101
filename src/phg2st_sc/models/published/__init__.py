"""The six methods that PHG2ST was compared with, and what they share."""

from ._method import NetworkMethod
from .bleep import BLEEP
from .hggep import HGGEP
from .hist2st import Hist2ST
from .histogene import HisToGene
from .stnet import STNet
from .triplex import TRIPLEX

__all__ = ["BLEEP", "HGGEP", "TRIPLEX", "HisToGene", "Hist2ST", "NetworkMethod", "STNet"]
