"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

mpl.use("Agg")

pytest_plugins = ("planted", "sections", "smooth_slides")

_ROOT = Path(__file__).resolve().parents[1]
_CANDIDATES = (os.environ.get("PHG2ST_DATA"), _ROOT.parent / "shared" / "data", _ROOT / "shared" / "data")


def _data_root() -> Path | None:
    for candidate in _CANDIDATES:
        if candidate and (Path(candidate) / "her2st").is_dir():
            return Path(candidate)
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test that asks for the real data, so that `-m "not real_data"` leaves them out."""
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.real_data)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with the public data sets; the test is skipped where there is none."""
    root = _data_root()
    if root is None:
        pytest.skip("no public data sets here: point PHG2ST_DATA at a folder that holds `her2st`")
    return root


@pytest.fixture
def rng() -> np.random.Generator:
    """Seeded generator."""
    return np.random.default_rng(0)


@pytest.fixture
def lattice_positions() -> np.ndarray:
    """Centres (x, y) of a 12 x 10 square lattice, 40 px apart, first centre at (60, 60)."""
    x, y = np.meshgrid(np.arange(12), np.arange(10))
    return np.stack([x.ravel(), y.ravel()], axis=1) * 40.0 + 60.0


@pytest.fixture
def he_image(rng: np.random.Generator) -> np.ndarray:
    """(480, 560, 3) uint8 image, pink on the left and purple on the right, with noise."""
    pink, purple = np.array([230.0, 160.0, 190.0]), np.array([120.0, 80.0, 160.0])
    share = np.linspace(0.0, 1.0, 560)[None, :, None]
    image = pink * (1.0 - share) + purple * share + rng.normal(0.0, 8.0, (480, 560, 3))
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture
def spot_adata(lattice_positions: np.ndarray, rng: np.random.Generator) -> AnnData:
    """120 spots x 30 genes of raw counts (CSR, float32) on the lattice; genes g0-g9 rise to the right."""
    n_spots = len(lattice_positions)
    right = (lattice_positions[:, 0] - 60.0) / 440.0
    rate = np.full((n_spots, 30), 3.0)
    rate[:, :10] += 9.0 * right[:, None]
    depth = rng.gamma(8.0, 1.0 / 8.0, n_spots)[:, None]
    counts = sparse.csr_matrix(rng.poisson(rate * depth).astype(np.float32))
    adata = AnnData(
        counts,
        obs=pd.DataFrame(index=[f"spot{i}" for i in range(n_spots)]),
        var=pd.DataFrame(index=[f"g{i}" for i in range(30)]),
    )
    adata.obsm["spatial"] = lattice_positions.copy()
    return adata


@pytest.fixture
def visium_adata(spot_adata: AnnData, he_image: np.ndarray) -> AnnData:
    """`spot_adata` with a Visium-style record whose thumbnail has half the resolution."""
    spot_adata.uns["spatial"] = {
        "section": {
            "images": {"hires": he_image[::2, ::2].copy()},
            "scalefactors": {"tissue_hires_scalef": 0.5, "spot_diameter_fullres": 22.0},
            "metadata": {},
        }
    }
    return spot_adata


@pytest.fixture(scope="session")
def timm():
    pytest.importorskip("torch", reason="networks need torch")
    pytest.importorskip("huggingface_hub", reason="networks need huggingface_hub")
    from importlib.util import find_spec

    if find_spec("timm") is None:
        pytest.skip("networks need timm: make test installs it")
    from timm_stand_in import import_timm

    return import_timm()
