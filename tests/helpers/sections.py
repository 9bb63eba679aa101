"""Simulated sections with image features, and a picture of all that an object holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from small_networks import SMALL

import phg2st_sc as phg2st

N_SPOTS, N_GENES = 120, 40
RECORD = {"source": "image", "encoder": "texture", "revision": "1", "transform": "none", "tile_um": 112.0}


def add_features(adata: AnnData, *, key: str = "X_texture", seed: int = 0, **record: Any) -> None:
    """Features as an encoder would write them: mixtures of what the picture shows, and noise."""
    shown = np.asarray(adata.obsm["true_programmes"])[:, :6]
    mixing = np.random.default_rng(5).normal(size=(shown.shape[1], 16))
    noise = np.random.default_rng(seed).normal(size=(adata.n_obs, 16))
    adata.obsm[key] = (shown @ mixing + 0.5 * noise).astype(np.float32)
    adata.uns.setdefault("phg2st_embeddings", {})[key] = {**RECORD, **record}


def section(seed: int = 0, *, image: bool = True, prompts: float = 0.2, **settings: Any) -> AnnData:
    """One simulated section with prompts, and with image features unless told otherwise."""
    settings = {"n_spots": N_SPOTS, "n_genes": N_GENES, "image": False, "progress": False} | settings
    adata = phg2st.datasets.simulate(seed=seed, **settings)
    if image:
        add_features(adata)
    phg2st.pp.sample_prompts(adata, fraction=prompts, seed=0)
    return adata


def _dense(value: Any) -> np.ndarray:
    return value.toarray() if sparse.issparse(value) else np.asarray(value)


def _walk(prefix: str, value: Any, out: dict[str, Any]) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            _walk(f"{prefix}/{key}", item, out)
    elif isinstance(value, (pd.DataFrame, pd.Series)):
        out[prefix] = value.copy()
    else:
        out[prefix] = _dense(value).copy()


def contents(adata: AnnData) -> dict[str, Any]:
    """Everything an AnnData holds, copied, by path."""
    out: dict[str, Any] = {"X": _dense(adata.X).copy()}
    for slot in ("layers", "obsm", "varm", "obsp", "varp"):
        for key in getattr(adata, slot):
            if key is not None:
                out[f"{slot}/{key}"] = _dense(getattr(adata, slot)[key]).copy()
    for slot in ("obs", "var"):
        frame = getattr(adata, slot)
        out[slot] = pd.Index(frame.index).copy()
        for column in frame.columns:
            out[f"{slot}/{column}"] = frame[column].copy()
    _walk("uns", dict(adata.uns), out)
    return out


def compare(before: dict[str, Any], after: dict[str, Any]) -> None:
    """All that was there is there still, to the bit."""
    assert set(before) <= set(after)
    for path, value in before.items():
        now = after[path]
        if isinstance(value, pd.Series):
            pd.testing.assert_series_equal(value, now)
        elif isinstance(value, (pd.Index, pd.DataFrame)):
            assert value.equals(now), path
        else:
            assert value.dtype == now.dtype, path
            np.testing.assert_array_equal(value, now, err_msg=path)


@pytest.fixture
def adata() -> AnnData:
    """A section of its own for one test."""
    return section()


@pytest.fixture(scope="session")
def make_section() -> Callable[..., AnnData]:
    """:func:`section`."""
    return section


@pytest.fixture(scope="session")
def give_features() -> Callable[..., None]:
    """:func:`add_features`."""
    return add_features


@pytest.fixture(scope="session")
def snapshot() -> Callable[[AnnData], dict[str, Any]]:
    """:func:`contents`."""
    return contents


@pytest.fixture(scope="session")
def unchanged() -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """:func:`compare`."""
    return compare


@pytest.fixture(scope="session")
def training() -> dict[str, AnnData]:
    """Three sections of three patients, with image features."""
    slides = phg2st.datasets.simulate(
        n_slides=3, n_patients=3, n_spots=N_SPOTS, n_genes=N_GENES, image=False, progress=False, seed=0
    )
    for seed, adata in enumerate(slides.values()):
        add_features(adata, seed=seed)
    return slides


class _Trained(dict[str, Any]):
    """Methods by name, trained when first asked for."""

    def __init__(self, training: dict[str, AnnData]) -> None:
        self._training = training

    def __missing__(self, name: str) -> Any:
        return self.setdefault(
            name, phg2st.tl.train(self._training, method=name, progress=False, **SMALL.get(name, {}))
        )


@pytest.fixture(scope="session")
def trained(training: dict[str, AnnData]) -> dict[str, Any]:
    """Every method with a cohort form, trained."""
    return _Trained(training)
