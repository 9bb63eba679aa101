"""Random fields that agree with the prompts, drawn from what these leave open.

The kernel is written as the product of random features of places (Rahimi & Recht 2007; of an exponential covariance the
frequencies are those of a multivariate t distribution). A field is then a line in the features, known up to the posterior
of its coefficients, so that fields of one drawing agree wherever and in whatever order spots are asked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import svd

from ._kernels import Kernel, Places

Array = NDArray[np.float64]
Index = NDArray[np.int64]

_FEATURES = 512
"""Of every part of the kernel."""


def draw_fields(
    places: Places, index: Index, noise: Array, kernel: Kernel, ratios: Array, numbers: Index, rng: np.random.Generator
) -> Callable[[Index], list[Array]]:
    """Draw fields of unit variance, about their mean given the prompts.

    Parameters
    ----------
    places
        The spots of the slide.
    index, noise
        The p prompts among them, and their noise.
    kernel
        Of the fields, to which an unknown level of unit variance is added.
    ratios
        (L,) ratios of signal to noise.
    numbers
        (L,) how many fields of each.
    rng
        Source of the drawing.

    Returns
    -------
    Of some spots, for each ratio, (rows, number) values of its fields.
    """
    features = _features(places, kernel, rng)
    _, values, axes = svd(features(index) / np.sqrt(noise)[:, None], full_matrices=False, check_finite=False)
    known = [1.0 - 1.0 / np.sqrt(ratio * values**2 + 1.0) for ratio in ratios]
    drawn = [rng.standard_normal((axes.shape[1], number)) for number in numbers]
    coefficients = [one - axes.T @ (share[:, None] * (axes @ one)) for one, share in zip(drawn, known, strict=True)]

    def at(rows: Index) -> list[Array]:
        here = features(rows)
        return [here @ one for one in coefficients]

    return at


def _features(places: Places, kernel: Kernel, rng: np.random.Generator) -> Callable[[Index], Array]:
    """(rows, M) random features: their products are the kernel plus 1, up to the error of drawing them."""
    parts = list(_parts(places, kernel))
    drawn = [
        (_frequencies(values.shape[1], rng) / scale, rng.uniform(0.0, 2.0 * np.pi, _FEATURES))
        for values, scale, _ in parts
    ]

    def at(rows: Index) -> Array:
        waves = [
            np.sqrt(2.0 * share / _FEATURES) * np.cos(values[rows] @ frequencies + phase)
            for (values, _, share), (frequencies, phase) in zip(parts, drawn, strict=True)
        ]
        return np.hstack([np.ones((rows.size, 1)), *waves])

    return at


def _parts(places: Places, kernel: Kernel) -> list[tuple[Array, float, float]]:
    """Values, scale and share of every exponential that the kernel is made of."""
    mix = kernel.mix if kernel.sees_image(places) else 0.0
    scales = [kernel.length_scale] if kernel.longer is None else [kernel.length_scale, kernel.longer]
    parts = [(places.positions, scale, (1.0 - mix) / len(scales)) for scale in scales]
    if mix > 0.0 and places.image is not None:
        parts.append((np.asarray(places.image, dtype=np.float64), places.image_scale, mix))
    return parts


def _frequencies(dimensions: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((dimensions, _FEATURES)) / np.abs(rng.standard_normal(_FEATURES))
