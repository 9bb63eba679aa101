"""Which picture was that? Its name, its size and the colours of a few blocks, kept with what was computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from ._base import SlideImage

_BLOCKS, _BLOCK_PX = 6, 16
_TOLERANCE = 3
"""Decoders of JPEG differ by a level or two."""
_SHAPE_TOLERANCE = 0.02
_COLUMNS = (_keys.SLIDES, "image", "image_size", "image_blocks")


@dataclass(frozen=True, eq=False)
class Picture:
    """What tells one picture from another.

    Attributes
    ----------
    name
        Path or image element.
    width, height
        In pixels.
    blocks
        (36, 3) uint8 mean colours of small blocks, spread over the picture row by row.
    """

    name: str
    width: int
    height: int
    blocks: NDArray[np.uint8]

    @classmethod
    def of(cls, image: SlideImage, name: str) -> Picture:
        """Look at an opened image."""
        blocks = [
            image.read(y0, x0, y1, x1).mean(axis=(0, 1))
            for y0, y1 in _steps(image.height)
            for x0, x1 in _steps(image.width)
        ]
        return cls(name, image.width, image.height, np.rint(blocks).astype(np.uint8))

    def is_same(self, other: Picture) -> bool:
        """Whether they have the same size and show the same."""
        same_size = (self.width, self.height) == (other.width, other.height)
        return same_size and bool((np.abs(self.blocks.astype(int) - other.blocks) <= _TOLERANCE).all())

    def is_another(self, other: Picture) -> bool:
        """Whether they cannot be one picture, not even at two resolutions."""
        if (self.width, self.height) == (other.width, other.height):
            return not self.is_same(other)
        return abs(self.width * other.height / (self.height * other.width) - 1.0) > _SHAPE_TOLERANCE

    def __str__(self) -> str:
        """Name and size, for messages."""
        return f"{self.name} ({self.width} x {self.height})"


def _steps(size: int) -> list[tuple[int, int]]:
    length = min(size, _BLOCK_PX)
    starts = [int((i + 0.5) / _BLOCKS * size - length / 2) for i in range(_BLOCKS)]
    return [(start, start + length) for start in np.clip(starts, 0, size - length).tolist()]


def pictures_record(pictures: Sequence[Picture]) -> dict[str, NDArray[Any]]:
    """What a record in ``uns`` keeps of the pictures of its slides, one after the other."""
    return {
        "image": np.array([one.name for one in pictures]),
        "image_size": np.array([(one.width, one.height) for one in pictures], dtype=np.int64),
        "image_blocks": np.array([one.blocks for one in pictures]),
    }


def recorded_pictures(record: Any) -> dict[str, Picture]:
    """Pictures by slide, from a record that has kept them; empty for older ones."""
    if not isinstance(record, Mapping) or not set(_COLUMNS) <= set(record):
        return {}
    if len({len(record[key]) for key in _COLUMNS}) > 1:
        return {}  # merged by `anndata.concat`
    return {str(slide): one for slide, one in zip(np.asarray(record[_keys.SLIDES]), _pictures(record), strict=True)}


def only_picture(record: Any) -> Picture | None:
    """The one picture of a record, whichever slides it is of; ``None`` where it has several or none.

    Of objects that were each embedded from one picture and joined, the names of the slides are gone, and the picture is kept.
    """
    if not isinstance(record, Mapping) or not set(_COLUMNS[1:]) <= set(record):
        return None
    found = _pictures(record) if all(len(record[key]) == 1 for key in _COLUMNS[1:]) else []
    return found[0] if found else None


def _pictures(record: Mapping[str, Any]) -> list[Picture]:
    columns = [np.asarray(record[key]) for key in _COLUMNS[1:]]
    return [
        Picture(str(name), int(size[0]), int(size[1]), np.asarray(blocks, dtype=np.uint8))
        for name, size, blocks in zip(*columns, strict=True)
    ]
