"""Physical tile geometry: µm and µm per pixel to pixel boxes.

Coordinates are continuous full-resolution pixels (x, y); pixel *i* spans [i, i + 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import is_positive
from .._warn import warn_user
from ._base import SlideImage

_LEAST_PX, _FEW_PX = 2.0, 8.0


@dataclass(frozen=True, eq=False)
class Tiles:
    """Square tiles of one size on one image.

    Attributes
    ----------
    centers
        (t, 2) float64 tile centres (x, y) in full-resolution pixels.
    size_px
        Side of a tile in full-resolution pixels, not rounded.
    """

    centers: NDArray[np.float64]
    size_px: float

    def __len__(self) -> int:
        """Number of tiles."""
        return int(self.centers.shape[0])

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(t, 4) float64 boxes (x0, y0, x1, y1) in full-resolution pixels."""
        half = self.size_px / 2.0
        return np.hstack([self.centers - half, self.centers + half])

    def beyond(self, image: SlideImage) -> NDArray[np.bool_]:
        """(t,) which tiles reach beyond the image, and are padded with white there."""
        x0, y0, x1, y1 = self.boxes.T
        return (x0 < 0) | (y0 < 0) | (x1 > image.width) | (y1 > image.height)

    def scaled(self, factor: float) -> Tiles:
        """Return tiles with the same centres and a side ``factor`` times as long."""
        return Tiles(self.centers, self.size_px * factor)


def tile_pixels(tile_um: float, mpp: float) -> float:
    """Side of a tile in full-resolution pixels.

    Examples
    --------
    >>> tile_pixels(112, 0.5)
    224.0
    """
    check_length("tile_um", tile_um)
    check_length("mpp", mpp)
    return float(tile_um) / float(mpp)


def check_length(name: str, value: Any) -> float:
    """Return a length in µm, or say which argument is none."""
    if not is_positive(value):
        msg = f"`{name}` must be a number of µm above 0, got {value!r}."
        raise ValueError(msg)
    return float(value)


def check_resolution(size_px: float, image: SlideImage, *, slide: str, tile_um: float) -> None:
    """Refuse tiles that are no picture of tissue at all, and warn of those that show too little of it.

    Raises
    ------
    ValueError
        If a tile has fewer than 2 pixels along a side, or is larger than the image.
    """
    said = (
        f"Slide {slide!r}: a tile of {tile_um:g} µm spans {size_px:.3g} pixels at {tile_um / size_px:.4g} µm per pixel"
    )
    if size_px < _LEAST_PX or size_px > max(image.height, image.width):
        msg = (
            f"{said}, on an image of {image.width} x {image.height}: µm per pixel cannot be right, or `tile_um=`. Pass "
            "`mpp=` (about 0.25 to 1 for a scan), or `pitch_um=`."
        )
        raise ValueError(msg)
    if size_px < _FEW_PX:
        msg = f"{said}, too few to show tissue: pass the full-resolution image, check `mpp=`, or enlarge `tile_um=`."
        warn_user(msg)


def inside_image(points: NDArray[np.float64], image: SlideImage) -> NDArray[np.bool_]:
    """(n,) which points (x, y) lie on the image."""
    x, y = points.T
    return (x >= 0) & (y >= 0) & (x < image.width) & (y < image.height)
