"""Features that other software computed: files of TRIDENT, HEST and LazySlide, tables and arrays."""

from ._file import FeatureFile
from ._open import open_features

__all__ = ["FeatureFile", "open_features"]
