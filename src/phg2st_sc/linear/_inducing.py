"""The smooth part of a covariance over a whole slide, by some prompts that stand for all (inducing places).

``K ~ K_xu K_uu^-1 K_ux``, the Nystroem form (Quinonero-Candela & Rasmussen 2005), for space and for the image each by
itself: prompts spread evenly over the slide stand for its space, prompts taken evenly for its looks. What it leaves of
the covariance is positive semi-definite again, and matters between places near each other only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

from ._groups import evenly
from ._judge import even_subset
from ._kernels import Kernel, Places

Array = NDArray[np.float64]

MOST_BY_SPACE = 300
"""Inducing places of the spatial part, about: up to twice as many (see :func:`~._groups.evenly`)."""
MOST_BY_IMAGE = 800
"""Inducing places of the image part."""
_JITTER = 1e-8


@dataclass(frozen=True, eq=False)
class Inducing:
    """Features of places whose inner products are the smooth part of a covariance with unknown level.

    Attributes
    ----------
    parts
        Of space and, where the kernel sees it, of the image.
    """

    parts: tuple[_Part, ...]

    @classmethod
    def of(cls, kernel: Kernel, prompts: Places) -> Inducing:
        """Choose inducing places among the prompts."""
        sees = kernel.sees_image(prompts)
        by_space = prompts[evenly(prompts.positions, MOST_BY_SPACE)]
        parts = [_Part.of(1.0 - kernel.mix if sees else 1.0, kernel.by_space, by_space)]
        if sees:
            parts.append(_Part.of(kernel.mix, kernel.by_image, prompts[even_subset(prompts.n, MOST_BY_IMAGE)]))
        return cls(tuple(parts))

    @property
    def width(self) -> int:
        """Number of features."""
        return 1 + sum(part.places.n for part in self.parts)

    def at(self, targets: Places) -> Array:
        """(n, m) features; the first is one everywhere, for the level."""
        return np.hstack([np.ones((targets.n, 1)), *(part.features(targets) for part in self.parts)])


@dataclass(frozen=True, eq=False)
class _Part:
    share: float
    between: Callable[[Places, Places], Array]
    places: Places
    root: Array

    @classmethod
    def of(cls, share: float, between: Callable[[Places, Places], Array], places: Places) -> _Part:
        among = between(places, places) + _JITTER * np.eye(places.n)
        return cls(share, between, places, cholesky(among, lower=True, check_finite=False))

    def features(self, targets: Places) -> Array:
        towards = self.between(self.places, targets)
        return np.sqrt(self.share) * solve_triangular(self.root, towards, lower=True, check_finite=False).T
