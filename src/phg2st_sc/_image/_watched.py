"""An image that notes, of what is read of it anyway, which spots lie on black padding: no pixel is decoded for that alone."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._base import ImageLevel, SlideImage
from ._black import is_padding
from ._padding import MIDDLE, MOST, on_padding


class Noted(NamedTuple):
    """Spots that were looked at, those of them on padding, and whether transparent pixels were read."""

    seen: NDArray[np.int64]
    padded: NDArray[np.int64]
    transparent: bool


class WatchedImage:
    """An opened image, and spots on it.

    Parameters
    ----------
    image
        An opened image.
    centers
        (n, 2) spot centres (x, y) in full-resolution pixels.
    size_px
        Side of a tile in the same pixels. Of its middle quarter, as far as it is in the first box that is read around the centre,
        most is black where a spot lies on padding.
    """

    def __init__(self, image: SlideImage, centers: NDArray[np.float64], size_px: float) -> None:
        self._image, self._centers, self.size_px = image, centers, size_px
        self._by_row = np.argsort(centers[:, 1], kind="stable")
        self._rows = centers[self._by_row, 1]
        self._seen = np.zeros(len(centers), dtype=bool)
        self._padded = np.zeros(len(centers), dtype=bool)
        self._is_transparent = False

    @property
    def levels(self) -> tuple[ImageLevel, ...]:
        """Levels of the image."""
        return self._image.levels

    def __getattr__(self, name: str) -> Any:
        """Everything else is the image's."""
        return getattr(self._image, name)

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box of a level, and look at the spots in it that were not looked at before."""
        pixels = self._image.read(y0, x0, y1, x1, level=level)
        scale = self.levels[level].downsample
        first, last = np.searchsorted(self._rows, (y0 * scale, y1 * scale))
        spots = self._by_row[first:last]
        x = self._centers[spots, 0]
        spots = spots[~self._seen[spots] & (x >= x0 * scale) & (x < x1 * scale)]
        if not len(spots):
            return pixels
        black = is_padding(pixels)
        half = max(self.size_px * MIDDLE / 2.0 / scale, 0.5)
        for spot in spots.tolist() if black.any() else ():
            column, row = self._centers[spot] / scale - (x0, y0)
            middle = black[
                max(int(row - half), 0) : int(row + half) + 1, max(int(column - half), 0) : int(column + half) + 1
            ]
            self._padded[spot] = middle.mean() > MOST
        self._seen[spots] = True
        return pixels

    def noted(self) -> Noted:
        """What was seen so far."""
        transparent = self._is_transparent or bool(getattr(self._image, "has_transparent", False))
        return Noted(np.flatnonzero(self._seen), np.flatnonzero(self._padded), transparent)

    def learn(self, noted: Noted) -> None:
        """Take what was seen of the same spots where parts of the image were read elsewhere."""
        self._seen[noted.seen] = True
        self._padded[noted.padded] = True
        self._is_transparent |= noted.transparent

    def reopen(self, image: SlideImage) -> None:
        """Go on with the same picture, opened anew."""
        self._is_transparent = self.noted().transparent
        self._image = image

    def on_padding(self) -> NDArray[np.bool_]:
        """(n,) which centres lie on padding; those that nothing was read of are looked at now, and all if parts are transparent."""
        left = np.flatnonzero(~self._seen | self.noted().transparent)
        found = self._padded.copy()
        found[left] = on_padding(self._centers[left], self.size_px, self._image)
        return found
