"""One square region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._base import Positions, register_strategy
from ._geometry import nearest_in_a_square


@register_strategy("block")
def block(positions: Positions, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose one square region, as one small capture area would: the spots nearest to a random spot."""
    return nearest_in_a_square(positions, int(rng.integers(len(positions))), n, rng, np.arange(len(positions)))
