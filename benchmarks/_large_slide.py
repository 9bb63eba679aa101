"""Slides of up to a million bins whose truth is known, made a few thousand bins at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy import sparse

FEATURES = "X_simulated"
_PITCH_PX = 16.0
_SCALES = np.geomspace(4.0, 60.0, 9)
"""Length scales of the programmes in pitches."""
_SEEN = 6
"""Programmes that the picture shows; the others are of space alone."""
_WAVES = 64
_ROWS = 8192
_GENES = 2
"""Seed of what genes do, which is alike on all slides."""


def large_slide(
    n_bins: int, *, n_genes: int = 785, n_features: int = 64, depth: float = 300.0, seed: int = 0
) -> AnnData:
    """Bins on a square lattice with Poisson counts; logarithms of the rates are sums of nine smooth programmes.

    ``obsm["programmes"]`` (n, 9) and ``varm["loadings"]`` (G, 9), with ``var["level"]``, are the truth: see
    :func:`true_log_rates`. ``obsm["X_simulated"]`` (n, d) are features that see six of the programmes, bent and with noise.
    """
    genes, rng = np.random.default_rng(_GENES), np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n_bins)))
    places = np.stack(np.divmod(np.arange(n_bins), side)[::-1], axis=1).astype(np.float64)
    programmes = _programmes(places, rng)
    loadings = genes.normal(size=(n_genes, len(_SCALES))) * genes.gamma(0.6, 0.5, size=(n_genes, 1))
    level = genes.lognormal(0.0, 1.5, n_genes)
    seen = genes.normal(size=(_SEEN, n_features))
    out = AnnData(
        obs=pd.DataFrame(index=pd.Index([f"bin{number}" for number in range(n_bins)])),
        var=pd.DataFrame({"level": level / level.sum()}, index=[f"gene{number}" for number in range(n_genes)]),
    )
    out.varm["loadings"] = loadings / np.sqrt(len(_SCALES))
    out.obsm["programmes"] = programmes
    out.obsm["spatial"] = places * _PITCH_PX
    noise = rng.normal(size=(n_bins, n_features)).astype(np.float32)
    out.obsm[FEATURES] = np.tanh(0.7 * programmes[:, :_SEEN] @ seen).astype(np.float32) + noise
    depths = depth * rng.lognormal(0.0, 0.4, n_bins)
    out.X = sparse.vstack(
        [_counts(out, slice(start, start + _ROWS), depths, rng) for start in range(0, n_bins, _ROWS)], format="csr"
    )
    return out


def true_log_rates(slide: AnnData, rows: np.ndarray | slice) -> np.ndarray:
    """(rows, G) logarithms of the shares of the genes in the counts of some bins."""
    rates = slide.obsm["programmes"][rows] @ slide.varm["loadings"].T + np.log(slide.var["level"].to_numpy())
    return rates - np.log(np.exp(rates).sum(axis=1, keepdims=True))


def _counts(slide: AnnData, rows: slice, depths: np.ndarray, rng: np.random.Generator) -> sparse.csr_matrix:
    counts = rng.poisson(depths[rows, None] * np.exp(true_log_rates(slide, rows)))
    return sparse.csr_matrix(counts.astype(np.float32))


def _programmes(places: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth fields of unit variance by random waves."""
    out = np.empty((len(places), len(_SCALES)))
    for number, scale in enumerate(_SCALES):
        waves, phases = rng.normal(size=(2, _WAVES)) / scale, rng.uniform(0, 2 * np.pi, _WAVES)
        for start in range(0, len(places), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows, number] = np.cos(places[rows] @ waves + phases).sum(axis=1) * np.sqrt(2 / _WAVES)
    return out
