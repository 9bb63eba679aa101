"""Pictures: predictions over the tissue, tiles over the image, methods side by side."""

from __future__ import annotations

from ._benchmark import benchmark
from ._prediction import prediction
from ._tiles import tiles

__all__ = ["benchmark", "prediction", "tiles"]
