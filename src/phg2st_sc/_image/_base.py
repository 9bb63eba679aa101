"""What every opened image offers, and nothing about where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ImageLevel:
    """One resolution of an image.

    Attributes
    ----------
    height, width
        Size in pixels of this level.
    downsample
        How many full-resolution pixels one pixel of this level spans along a side; 1 for the base level.
    chunks
        (height, width) of what is decoded at once, or ``None`` when the level lies in memory.
    """

    height: int
    width: int
    downsample: float
    chunks: tuple[int, int] | None = None


@runtime_checkable
class SlideImage(Protocol):
    """An RGB image that is read in boxes, at one of its levels.

    Pixel *i* spans the interval [i, i + 1), at every level: the full-resolution point (x, y) lies at
    (x, y) / downsample of a level.
    """

    @property
    def levels(self) -> tuple[ImageLevel, ...]:
        """Levels from the finest (the base, full resolution) to the coarsest."""
        ...

    @property
    def height(self) -> int:
        """Height of the base level in pixels."""
        ...

    @property
    def width(self) -> int:
        """Width of the base level in pixels."""
        ...

    @property
    def mpp(self) -> float | None:
        """µm per pixel of the base level where the file says so, else ``None``."""
        ...

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return the (y1 - y0, x1 - x0, 3) box, in pixels of ``level``, which must lie inside the image."""
        ...

    def close(self) -> None:
        """Release the file and all that was decoded."""
        ...


def check_box(level: ImageLevel, box: tuple[int, int, int, int]) -> None:
    """Refuse a box that is empty or leaves the level."""
    y0, x0, y1, x1 = box
    if not (0 <= y0 < y1 <= level.height and 0 <= x0 < x1 <= level.width):
        msg = f"Box (y0, x0, y1, x1) = {box} does not lie inside the image of {level.height} x {level.width} pixels."
        raise ValueError(msg)


def is_slide_image(source: Any) -> bool:
    """Whether ``source`` is an opened image already."""
    return isinstance(source, SlideImage)


def downsample(base: int, size: int) -> float:
    """Factor between a level and the base; a whole number where cropping to whole pixels explains the difference."""
    factor = base / size
    whole = round(factor)
    return float(whole) if abs(base - whole * size) <= whole else factor
