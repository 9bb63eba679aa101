"""Anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._base import Positions, register_strategy


@register_strategy("random")
def random(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose spots independently of where they lie."""
    return rng.permutation(len(positions))[:n]
