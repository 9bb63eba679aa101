"""Tiles of glass alone are not encoded: they get what a white tile gets, which is worked out once."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from .._image import is_glass


class PassingGlass(ABC):
    """What an encoder makes of tiles, glass passed over where that is asked for."""

    def __init__(self, *, skip_glass: bool) -> None:
        self._skip_glass = skip_glass
        self._of_white: NDArray[np.float32] | None = None

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features (b, ...) of (b, h, w, 3) tiles."""
        glass = is_glass(tiles) if self._skip_glass else np.zeros(len(tiles), dtype=bool)
        if not glass.any():
            return self._encode(tiles)
        if self._of_white is None:
            self._of_white = self._encode(np.full((1, *tiles.shape[1:]), 255, dtype=np.uint8))[0]
        features = np.empty((len(tiles), *self._of_white.shape), dtype=np.float32)
        features[glass] = self._of_white
        if not glass.all():
            features[~glass] = self._encode(tiles[~glass])
        return features

    @abstractmethod
    def _encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Features of tiles, looked at."""
