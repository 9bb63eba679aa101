"""A regression about landmarks that are no single spots, for what is handed on without the spots that it was learned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from ._cohort_regression import CohortRegression
from ._image_regression import nystroem

Array = NDArray[np.float64]

LEAST_SPOTS = 4
"""Whose mean a landmark is."""
_RIDGE = 1e-3
"""Of the typical regressor."""


def without_spots(regression: CohortRegression) -> CohortRegression:
    """The regression with landmarks that are means of four or more training spots each.

    What it says is learned anew from what it said near the spots that were its landmarks.
    """
    radial = regression.radial
    if radial.landmarks is None or radial.whiten is None:
        return regression
    spots, scale = radial.landmarks, radial.scale
    means = np.stack([spots[group].mean(axis=0) for group in _groups(spots, np.arange(len(spots)))])
    near = cdist(spots, spots)
    # a new spot comes as near to a landmark as the landmarks come to each other
    np.fill_diagonal(near, cKDTree(spots).query(spots, k=[2])[0][:, 0] if len(spots) > 1 else 0.0)
    told = (np.exp(-near / scale) @ radial.whiten - regression.center) @ regression.coefficients
    few = replace(radial, landmarks=means, whiten=nystroem(cdist(means, means), scale))
    design = np.exp(-cdist(spots, means) / scale) @ few.whiten
    center = design.mean(axis=0)
    design = design - center
    gram = design.T @ design
    gram += _RIDGE * max(float(np.trace(gram)) / len(gram), 1e-12) * np.eye(len(gram))
    coefficients = np.linalg.solve(gram, design.T @ (told - told.mean(axis=0)))
    return CohortRegression(few, center, coefficients, regression.view)


def _groups(spots: Array, rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Spots that lie together, split in halves along the widest axis while both keep enough."""
    if rows.size < 2 * LEAST_SPOTS:
        yield rows
        return
    values = spots[rows]
    order = rows[np.argsort(values[:, np.ptp(values, axis=0).argmax()], kind="stable")]
    half = rows.size // 2
    yield from _groups(spots, order[:half])
    yield from _groups(spots, order[half:])
