"""Regression of whitened rates on image features, within one slide and over a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from .._arrays import TrainingSlide
from ._cohort import check_training
from ._image_space import standardize
from ._krige import even_subset
from ._rates import RateScale

Array = NDArray[np.float64]

ALPHAS = (1.0, 10.0, 100.0, 1000.0, 10_000.0)
"""Candidate ridge penalties, in spots."""
_MAX_SPOTS = 20_000
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
    scale: float
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
        values, vectors = np.linalg.eigh(np.exp(-distances / scale))
        whiten = vectors / np.sqrt(np.maximum(values, 1e-6)) @ vectors.T
        return cls(mean, directions, scale, landmarks, whiten)

    def __call__(self, features: NDArray[np.float32]) -> Array:
        """(n, m) regressors of a slide's features."""
        components = (standardize(features) - self.mean) @ self.directions
        if self.landmarks is None or self.whiten is None:
            return components / self.scale
        return np.exp(-cdist(components, self.landmarks) / self.scale) @ self.whiten


@dataclass(frozen=True)
class CohortRegression:
    """Ridge of whitened rates on image features, over training slides.

    Attributes
    ----------
    radial
        The regressors.
    center
        (m,) mean of the regressors in training.
    coefficients
        (m, G) effect on whitened rates.
    """

    radial: Radial
    center: Annotated[Array, "m"]
    coefficients: Annotated[Array, "m t"]

    def predict(self, features: NDArray[np.float32]) -> Array:
        """Whitened rates (n, G), about zero over the slide."""
        out = (self.radial(features) - self.center) @ self.coefficients
        return np.asarray(out - out.mean(axis=0))


@dataclass(frozen=True)
class _Rows:
    features: list[Array]
    values: Array
    weight: Array
    groups: NDArray[np.int64]


def learn_cohort_regression(
    slides: Sequence[TrainingSlide], *, n_components: int, seed: int, method: str
) -> CohortRegression:
    """Fit on the slides with an image; linear or radial regressors and the penalty by leaving patients out in turn.

    With one patient the slides are left out in turn; with one slide a middle penalty is taken. A ``ValueError`` where no
    slide has an image.
    """
    check_training(slides, method)
    imaged = [slide for slide in slides if slide.arrays.features is not None]
    if not imaged:
        names = ", ".join(slide.arrays.name for slide in slides)
        msg = f"method {method!r} needs image features, and none of the training slides has any ({names})"
        raise ValueError(msg)
    rows = _training_rows(imaged)
    pooled = np.concatenate(rows.features)
    fits: list[tuple[float, Radial, Array, float]] = []
    for use_radial in (False, True):
        radial = Radial.learn(pooled, n_components=n_components, radial=use_radial, seed=seed)
        design = np.concatenate([radial(f.astype(np.float32)) for f in rows.features])
        errors = _left_out_errors(design, rows)
        fits += [(error, radial, design, alpha) for alpha, error in zip(ALPHAS, errors, strict=True)]
    _, radial, design, alpha = min(fits, key=lambda fit: fit[0])
    return _solve(radial, design, rows.values, rows.weight, alpha)


def _training_rows(slides: Sequence[TrainingSlide]) -> _Rows:
    patients = [slide.arrays.patient for slide in slides]
    by = patients if None not in patients and len(set(patients)) > 1 else [slide.arrays.name for slide in slides]
    codes = {name: code for code, name in enumerate(dict.fromkeys(by))}
    limit = max(1, _MAX_SPOTS // len(slides))
    features, values, weights, groups = [], [], [], []
    for slide, group in zip(slides, by, strict=True):
        if slide.arrays.features is None:
            continue
        totals = slide.counts.sum(axis=1, dtype=np.float64)
        used = np.flatnonzero(totals > 0)
        used = used[even_subset(used.size, limit)]
        scale = RateScale.from_counts(slide.counts[used], totals[used])
        features.append(standardize(slide.arrays.features)[used])
        values.append(scale.whiten(slide.counts[used], totals[used]))
        weights.append(totals[used])
        groups.append(np.full(used.size, codes[group]))
    pooled = np.concatenate(weights)
    # variance = counting noise + what the image cannot tell, taken as equal at the median spot
    weight = 1.0 / (np.median(pooled) / pooled + 1.0)
    return _Rows(features, np.concatenate(values), weight / weight.mean(), np.concatenate(groups))


def _left_out_errors(design: Array, rows: _Rows) -> list[float]:
    groups = np.unique(rows.groups)
    if groups.size == 1:
        middle = len(ALPHAS) // 2
        return [abs(position - middle) + 0.0 for position in range(len(ALPHAS))]
    errors = np.zeros(len(ALPHAS))
    for group in groups:
        held_out = rows.groups == group
        train = ~held_out
        center, gram, cross = _moments(design[train], rows.values[train], rows.weight[train])
        for position, alpha in enumerate(ALPHAS):
            coefficients = np.linalg.solve(gram + alpha * np.eye(len(gram)), cross)
            predicted = (design[held_out] - center) @ coefficients
            predicted -= predicted.mean(axis=0)
            errors[position] += float((rows.weight[held_out, None] * (rows.values[held_out] - predicted) ** 2).sum())
    return [float(e) for e in errors]


def _moments(design: Array, values: Array, weight: Array) -> tuple[Array, Array, Array]:
    center = weight @ design / weight.sum()
    weighted = (design - center) * weight[:, None]
    return center, weighted.T @ (design - center), weighted.T @ values


def _solve(radial: Radial, design: Array, values: Array, weight: Array, alpha: float) -> CohortRegression:
    center, gram, cross = _moments(design, values, weight)
    coefficients = np.linalg.solve(gram + alpha * np.eye(len(gram)), cross)
    return CohortRegression(radial, center, np.asarray(coefficients, dtype=np.float64))
