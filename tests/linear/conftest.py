"""Places with prompts of unequal noise."""

from __future__ import annotations

import numpy as np
import pytest

from phg2st_sc.linear._kernels import Places


@pytest.fixture
def field(rng):
    """150 places, 40 prompts with unequal noise, three columns."""
    positions = rng.uniform(0, 15, (150, 2))
    index = np.sort(rng.choice(150, 40, replace=False))
    return Places.of(positions, rng.normal(size=(150, 4))), index, rng.uniform(0.3, 3.0, 40), rng.normal(size=(40, 3))
