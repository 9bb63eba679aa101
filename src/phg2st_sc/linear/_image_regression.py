"""Regression of whitened rates on image features, within one slide and over a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ._image_space import Rows, Standardized, map_rows

Array = NDArray[np.float64]

ALPHAS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""Candidate ridge penalties, in spots."""
_LANDMARKS = 400


def within_slide(components: Array, index: NDArray[np.int64], values: Array, noise: Array) -> tuple[Array, Array]:
    """Ridge of the prompts on image components, the penalty chosen by leave-one-out error.

    Returns the predictions (n, C) and the leave-one-out predictions at the prompts (p, C).
    """
    if index.size == 0:
        return np.zeros((components.shape[0], values.shape[1])), values
    design = components[index]
    weight = 1.0 / noise
    best: tuple[float, Array, Array] | None = None
    for alpha in ALPHAS:
        coefficients, offset, left_out = _weighted_ridge(design, values, weight, alpha)
        error = float((weight[:, None] * (values - left_out) ** 2).sum())
        if best is None or error < best[0]:
            best = (error, components @ coefficients + offset, left_out)
    return (best[1], best[2]) if best is not None else (np.zeros((components.shape[0], values.shape[1])), values * 0)


def _weighted_ridge(design: Array, values: Array, weight: Array, alpha: float) -> tuple[Array, Array, Array]:
    """Coefficients, intercept and exact leave-one-out predictions of a ridge with free intercept."""
    total = weight.sum()
    center, level = weight @ design / total, weight @ values / total
    x, y = design - center, values - level
    # components have unit mean square length, so the penalty is in units of spots
    gram = (x * weight[:, None]).T @ x + alpha / design.shape[1] * np.eye(design.shape[1])
    inverse = np.linalg.inv(gram)
    coefficients = inverse @ ((x * weight[:, None]).T @ y)
    leverage = weight * np.einsum("ij,jk,ik->i", x, inverse, x) + weight / total
    residual = y - x @ coefficients
    return coefficients, level - center @ coefficients, values - residual / (1.0 - np.minimum(leverage, 0.999))[:, None]


@dataclass(frozen=True)
class Radial:
    """Exponential radial features of standardised image features: nonlinear, still solved by ridge.

    Attributes
    ----------
    mean, directions
        Pooled principal components of the training slides' standardised features.
    landmarks
        (m, k) training spots in those components; ``None`` keeps the components themselves (a linear ridge).
    scale
        Typical distance between spots.
    whiten
        (m, m) inverse square root of the kernel among landmarks (Nystroem features).
    """

    mean: Annotated[Array, "f"]
    directions: Annotated[Array, "f k"]
    scale: Annotated[float, "> 0"]
    landmarks: Annotated[Array, "m k"] | None = None
    whiten: Annotated[Array, "m m"] | None = None

    @classmethod
    def learn(cls, features: Array, *, n_components: int, radial: bool, seed: int) -> Radial:
        """Components, and where ``radial`` landmarks, from pooled standardised features."""
        mean = features.mean(axis=0)
        _, _, right = np.linalg.svd(features - mean, full_matrices=False)
        directions = right[:n_components].T
        components = (features - mean) @ directions
        scale = float(np.sqrt((components**2).sum(axis=1).mean())) or 1.0
        if not radial:
            return cls(mean, directions, scale)
        rng = np.random.default_rng(seed)
        chosen = np.sort(rng.choice(len(components), min(_LANDMARKS, len(components)), replace=False))
        landmarks = components[chosen]
        distances = cdist(landmarks, landmarks)
        scale = float(np.median(distances[np.triu_indices(len(chosen), 1)])) if len(chosen) > 1 else scale
        return cls(mean, directions, scale, landmarks, nystroem(distances, scale))

    @property
    def width(self) -> int:
        """Number of regressors."""
        return self.directions.shape[1] if self.whiten is None else self.whiten.shape[1]

    def __call__(self, features: Rows) -> Array:
        """(n, m) regressors of a slide's features."""
        return map_rows(Standardized.of(features), self.of, self.width)

    def of(self, values: Array) -> Array:
        """(n, m) regressors of standardised features."""
        components = (values - self.mean) @ self.directions
        if self.landmarks is None or self.whiten is None:
            return components / self.scale
        return np.exp(-cdist(components, self.landmarks) / self.scale) @ self.whiten


def nystroem(distances: Array, scale: float) -> Array:
    """(m, m) inverse square root of the kernel among landmarks that lie so far from each other."""
    values, vectors = np.linalg.eigh(np.exp(-distances / scale))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-6)) @ vectors.T)
