"""Covariances between spots: by position, by image, and mixtures of both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]

LENGTH_SCALES = (3.0, 5.0, 8.0)
"""Candidate length scales of the exponential spatial covariance, in lattice pitches."""
MIXES = (0.25, 0.5, 0.75)
"""Candidate shares of the image in a space + image covariance."""


@dataclass(frozen=True)
class Places:
    """Spots as a kernel sees them.

    Attributes
    ----------
    positions
        (n, 2) in lattice pitches.
    image
        (n, k) leading image components, or ``None``.
    image_scale
        Typical distance between two spots of the slide in ``image``.
    """

    positions: Array
    image: Array | None = None
    image_scale: float = 1.0

    @classmethod
    def of(cls, positions: Array, image: Array | None = None) -> Places:
        """Places of a whole slide, with the image scale measured on it."""
        return cls(positions, image, 1.0 if image is None else _median_distance(image))

    def __getitem__(self, index: NDArray[np.int64]) -> Places:
        return Places(self.positions[index], None if self.image is None else self.image[index], self.image_scale)

    @property
    def n(self) -> int:
        """Number of places."""
        return int(self.positions.shape[0])


@dataclass(frozen=True)
class Kernel:
    """Unit-variance covariance ``(1 - mix) * exp(-d / length_scale) + mix * exp(-f / scale)``.

    ``d`` is the distance in lattice pitches, ``f`` the distance in image components, ``scale`` the slide's typical one.
    With a ``longer`` length scale, half of the spatial part has that one.
    """

    length_scale: Annotated[float, "> 0"]
    mix: Annotated[float, "0 to 1"] = 0.0
    longer: Annotated[float, "> 0"] | None = None

    def stretched(self, factor: float) -> Kernel:
        """The same with length scales times a factor."""
        longer = None if self.longer is None else self.longer * factor
        return replace(self, length_scale=self.length_scale * factor, longer=longer)

    def sees_image(self, places: Places) -> bool:
        """Whether the image enters the covariance of these places."""
        return self.mix > 0.0 and places.image is not None

    def between(self, a: Places, b: Places) -> Array:
        """Covariance (n_a, n_b) between two sets of places."""
        by_space = self.by_space(a, b)
        return (1.0 - self.mix) * by_space + self.mix * self.by_image(a, b) if self.sees_image(a) else by_space

    def by_space(self, a: Places, b: Places) -> Array:
        """Its spatial part (n_a, n_b), of unit variance."""
        distance = cdist(a.positions, b.positions)
        by_space = np.exp(-distance / self.length_scale)
        return by_space if self.longer is None else 0.5 * (by_space + np.exp(-distance / self.longer))

    @staticmethod
    def by_image(a: Places, b: Places) -> Array:
        """Its image part (n_a, n_b), of unit variance."""
        return np.exp(-cdist(a.image, b.image) / a.image_scale)


def _median_distance(image: Array, *, max_spots: int = 1000) -> float:
    step = max(1, -(-image.shape[0] // max_spots))
    subset = image[::step]
    upper = cdist(subset, subset)[np.triu_indices(subset.shape[0], k=1)]
    scale = float(np.median(upper)) if upper.size else 0.0
    return scale if scale > 0 else 1.0
