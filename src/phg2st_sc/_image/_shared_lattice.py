"""One lattice of tiles over a slide, each encoded once, from which all of its spots take what they and their surroundings show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ._around import block_offsets, distinct_cells, topmost_left
from ._base import SlideImage
from ._tiles import Tiles, inside_image

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_CORNERS = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])


@dataclass(frozen=True, eq=False)
class SharedLattice:
    """Tiles of a lattice over one slide, and what of them each spot takes.

    Attributes
    ----------
    tiles
        The tiles that any spot needs, row by row.
    weights
        (n, tiles) csr float32: what a spot itself shows, as shares of up to four tiles.
    index
        (n, context²) int32 tiles around each spot, rows top to bottom; -1 = outside the image. ``None`` without context.
    """

    tiles: Tiles
    weights: csr_matrix
    index: NDArray[np.int32] | None

    @classmethod
    def over(cls, centers: NDArray[np.float64], size_px: float, image: SlideImage, *, context: int) -> SharedLattice:
        """Lay it so that one tile is centred exactly on the topmost, leftmost spot.

        Parameters
        ----------
        centers
            (n, 2) spot centres (x, y) in full-resolution pixels.
        size_px
            Side of a tile in full-resolution pixels.
        image
            Tiles around spots whose centre lies outside it are left out.
        context
            Odd number of tiles along a side of the block around each spot; 0 for none.
        """
        anchor = topmost_left(centers)
        at = (centers - anchor) / size_px
        low = np.floor(at + 1e-6)  # a spot on the lattice takes one tile, whichever side rounding puts it
        beyond = np.clip(at - low, 0.0, 1.0)[:, None]
        shares = np.where(_CORNERS[None] == 1, beyond, 1.0 - beyond).prod(axis=2)
        firsts, first_of = distinct_cells(low)  # many spots have the same tiles around them
        middles, middle_of = distinct_cells(np.rint(at))
        own, is_used = firsts[:, None] + _CORNERS[None], np.zeros((len(firsts), len(_CORNERS)), dtype=bool)
        np.logical_or.at(is_used, first_of, shares > 0)
        around = middles[:, None] + (block_offsets(context) if context else _CORNERS[:0])[None]
        inside = inside_image((around * size_px + anchor).reshape(-1, 2), image).reshape(around.shape[:2])
        distinct, number = distinct_cells(np.concatenate([own[is_used], around[inside]]))
        columns, index = np.zeros(own.shape[:2], dtype=np.int64), np.full(inside.shape, -1, dtype=np.int32)
        columns[is_used], index[inside] = np.split(number, [int(is_used.sum())])
        weights = _weights(shares, columns[first_of], len(distinct))
        return cls(Tiles(distinct * size_px + anchor, size_px), weights, index[middle_of] if context else None)


def _weights(shares: NDArray[np.float64], columns: NDArray[np.int64], n_tiles: int) -> csr_matrix:
    from scipy.sparse import csr_matrix

    rows, _ = np.nonzero(shares > 0)
    values = shares[shares > 0].astype(np.float32)
    return csr_matrix((values, (rows, columns[shares > 0])), shape=(len(shares), n_tiles))
