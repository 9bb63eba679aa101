"""A small section with a prediction, and no figure that stays open."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from anndata import AnnData

import phg2st_sc as phg2st


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def predict(data: Any, **settings: Any) -> Any:
    phg2st.pp.sample_prompts(data, fraction=0.2, seed=0)
    phg2st.tl.impute(data, method="kriging", progress=False, **settings)
    return data


@pytest.fixture
def predicted(visium_adata: AnnData) -> AnnData:
    """120 spots, 24 of them prompts, over a picture of half the resolution; layer `kriging`."""
    return predict(visium_adata)


@pytest.fixture
def places() -> Callable[[Any], np.ndarray]:
    """Centres of what the last collection of some axes draws."""
    return lambda ax: np.asarray(ax.collections[-1].get_offsets())
