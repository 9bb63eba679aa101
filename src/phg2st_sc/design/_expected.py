"""What correlation with the depth-free target to expect of a set of prompts, for genes of one signal-to-noise ratio or another.

Under a Gaussian process the predicted map m and what it misses are independent, so that its correlation with a noisy target is the root
of the share of the target's variance over the slide that m has: ``var(m) / (var(f) + noise)``. All three follow from the
covariance, the places of the prompts and the ratio.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh

from ..linear import MAX_EXACT, NEIGHBOR_RADIUS, even_subset
from ..metrics import neighbor_operator
from ._survey import Index, Survey, about_mean

Array = NDArray[np.float64]

RATIOS = np.geomspace(0.001, 30.0, 40)
"""Signal-to-noise ratios of genes at the usual spot."""
_FEW = 1000
"""Scored spots that a mean over the slide is taken of."""


def expected_correlation(survey: Survey, spots: Index, scored: Index) -> Array:
    """(ratios,) expected correlation at some scored spots with the target that is averaged over those around.

    Parameters
    ----------
    survey
        The slide.
    spots
        All that will have been measured.
    scored
        The spots that are predicted and scored.
    """
    spots = spots[even_subset(spots.size, MAX_EXACT)]
    scored = scored[even_subset(scored.size, MAX_EXACT)]
    around, molecules = _around(survey, scored)
    root = np.sqrt(_noise(survey, spots))
    prompts, places = survey.places[spots], survey.places[scored]
    signal = survey.covariance.signal
    values, vectors = eigh(signal(prompts, prompts) / np.outer(root, root), check_finite=False)
    towards = about_mean(around @ (signal(places, prompts) / root)) @ vectors
    power = np.square(towards).mean(axis=0)
    few = around[even_subset(scored.size, _FEW)]
    whole = about_mean(few @ signal(places, places)) @ few.T
    total = float(np.trace(about_mean(np.asarray(whole).T))) / few.shape[0]
    explained = (power / (np.maximum(values, 0.0) + 1.0 / RATIOS[:, None])).sum(axis=1)
    return np.sqrt(np.clip(explained / (total + molecules / RATIOS), 0.0, 1.0))


def left_out_correlation(survey: Survey, spots: Index, folds: Index) -> Array:
    """(ratios,) expected correlation of single spots about the mean of their fold, each predicted from the other folds.

    Parameters
    ----------
    survey
        The slide.
    spots
        (p,) spots that were measured.
    folds
        (p,) fold of each.
    """
    places, noise = survey.places[spots], _noise(survey, spots)
    among = survey.covariance.signal(places, places)
    explained, whole = np.zeros(RATIOS.size), np.zeros(RATIOS.size)
    for fold in np.unique(folds):
        there = folds == fold
        root = np.sqrt(noise[~there])
        values, vectors = eigh(among[np.ix_(~there, ~there)] / np.outer(root, root), check_finite=False)
        power = np.square(about_mean(among[np.ix_(there, ~there)] / root) @ vectors).sum(axis=0)
        explained += (power / (np.maximum(values, 0.0) + 1.0 / RATIOS[:, None])).sum(axis=1)
        whole += (
            np.trace(about_mean(among[np.ix_(there, there)])) + (1.0 - 1.0 / there.sum()) * noise[there].sum() / RATIOS
        )
    return np.sqrt(np.clip(explained / np.maximum(whole, 1e-300), 0.0, 1.0))


def _noise(survey: Survey, spots: Index) -> Array:
    """Noise variance of measurements: as they were where they were made, as expected where they will be."""
    noise = survey.expected_noise.copy()
    noise[survey.measured] = survey.noise
    return noise[spots]


def _around(survey: Survey, scored: Index) -> tuple[sparse.csr_array, float]:
    """Means over the scored spots around each, and the noise that they leave of that of one spot."""
    near = neighbor_operator(survey.places.positions[scored], radius=NEIGHBOR_RADIUS)
    number = near.sum(axis=1)
    return sparse.csr_array(near.multiply(1.0 / number[:, None])), float((1.0 / number).mean())


def equally_deep(survey: Survey) -> Survey:
    """The survey as if every measurement were as noisy as the usual one."""
    return replace(survey, noise=np.ones_like(survey.noise), expected_noise=np.ones_like(survey.expected_noise))
