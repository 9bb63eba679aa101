"""Features of patches, pooled at any place: one pass of a tile serves every place in its middle.

The patches of all tiles lie on one lattice, which is in phase with the places. Tiles overlap by a margin, whose patches see
too little of what is around them to be used as centres: a place belongs to the one tile whose middle it lies in, and is pooled from
the patches of that tile alone. What it gets depends on no other place, batch or order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._image import Tiles
from ._base import TokenEncoder
from ._passing_glass import PassingGlass

ReadTiles = Callable[[Tiles], Iterable[tuple[NDArray[np.int64], NDArray[np.uint8]]]]
"""Reads tiles in batches, in any order: numbers of tiles and (b, px, px, 3) uint8 pixels."""
LEAST_MARGIN = 2
"""Patches at the edge of a tile that are no middle."""
_ROUNDING = 1e-6
"""Of lengths in patches."""


@dataclass(frozen=True, eq=False)
class TokenPlan:
    """Which tile serves which places.

    Attributes
    ----------
    tiles
        The tiles to encode.
    owner
        (n,) int64 tile of every place.
    offsets
        (n, 2) float64 places (x, y) in patches from the upper left corner of their tile.
    side
        Patches along a side of a tile.
    reach
        Half the side of the square that is pooled around a place, in patches.
    """

    tiles: Tiles
    owner: NDArray[np.int64]
    offsets: NDArray[np.float64]
    side: int
    reach: float

    def order(self, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) places in the order in which they are served where tiles are read in this one."""
        rank = np.empty(len(self.tiles), dtype=np.int64)
        rank[tiles] = np.arange(len(tiles))
        return np.argsort(rank[self.owner], kind="stable")


def widest_pool(side: int) -> float:
    """The widest square that can be pooled from one tile with so many patches along its side, as a share of that side."""
    return 2 * ((side - 1) // 2) / side


def plan_tokens(places: NDArray[np.float64], size_px: float, side: int, pool_px: float) -> TokenPlan:
    """Lay tiles so that every place lies in the middle of one, and its square inside that tile.

    Parameters
    ----------
    places
        (n, 2) centres (x, y) in full-resolution pixels.
    size_px
        Side of a tile in the same pixels.
    side
        Patches along it.
    pool_px
        Side of the square around a place over which patches are pooled, by the area that they have in it.

    Returns
    -------
    TokenPlan
        Its tiles are those that have places, row by row.

    Raises
    ------
    ValueError
        If no tile holds such a square with a middle left.
    """
    patch = size_px / side
    reach = max(pool_px / patch, 1.0) / 2.0  # a smaller square would take one patch, and jump from patch to patch
    most = (side - 1) // 2
    margin = max(int(np.ceil(reach - _ROUNDING)), min(LEAST_MARGIN, most))
    if margin > most:
        msg = (
            f"A square {pool_px / size_px:.3g} times as wide as a tile cannot be pooled from the patches of that tile: pool over at "
            f"most {widest_pool(side):.3g} of its side, or make tiles larger."
        )
        raise ValueError(msg)
    middle = side - 2 * margin
    anchor = places[np.lexsort((places[:, 0], places[:, 1]))[0]]
    steps = (places - anchor) / patch + 0.5  # the anchor lies in the middle of a patch
    cells = np.floor(steps / middle).astype(np.int64)
    distinct, owner = np.unique(cells[:, ::-1], axis=0, return_inverse=True)
    corners = distinct[:, ::-1] * middle - margin
    offsets = steps - corners[owner.ravel()]
    centers = anchor + (corners - 0.5 + side / 2.0) * patch
    return TokenPlan(Tiles(centers, size_px), owner.ravel().astype(np.int64), offsets, side, reach)


def pooled_tokens(
    plan: TokenPlan, read: ReadTiles, encoder: TokenEncoder, *, skip_glass: bool = False
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Encode the tiles of a plan and pool their patches at its places.

    Parameters
    ----------
    plan
        Which tile serves which places.
    read
        Reads the tiles, as large as the encoder takes them.
    encoder
        Gives features of patches.
    skip_glass
        Give places in tiles that show glass alone the features of a white tile.

    Yields
    ------
    (k,) int64 places that the tiles of a batch serve, and their (k, token_dim) float32 features. Every place comes once.

    Raises
    ------
    ValueError
        If the encoder returns another number of patches, or features that are not finite.
    """
    order = np.argsort(plan.owner, kind="stable")
    starts = np.searchsorted(plan.owner[order], np.arange(len(plan.tiles) + 1))
    encode = _Checked(encoder, plan.side, skip_glass=skip_glass)
    for numbers, pixels in read(plan.tiles):
        tokens = encode(pixels)
        served = [order[starts[i] : starts[i + 1]] for i in numbers]
        ends = np.cumsum([len(rows) for rows in served])
        pooled = np.empty((int(ends[-1]), tokens.shape[-1]), dtype=np.float32)
        for one, rows, end in zip(tokens, served, ends.tolist(), strict=True):
            pooled[end - len(rows) : end] = _pool(one, plan.offsets[rows], plan.reach)
        yield np.concatenate(served), pooled


def _pool(tokens: NDArray[np.float32], offsets: NDArray[np.float64], reach: float) -> NDArray[np.float32]:
    """Mean of (h, w, d) patches over the squares around places, weighted by the area of each patch in a square."""
    height, width, dim = tokens.shape
    x, y = (_shares(offsets[:, axis], size, reach) for axis, size in enumerate((width, height)))
    weights = (y[:, :, None] * x[:, None, :]).reshape(len(offsets), height * width)
    pooled: NDArray[np.float32] = weights.astype(np.float32) @ tokens.reshape(height * width, dim)
    return pooled


def _shares(centers: NDArray[np.float64], size: int, reach: float) -> NDArray[np.float64]:
    """(n, size) shares of the intervals ``centers ± reach`` that lie in each of the cells [i, i + 1)."""
    cells = np.arange(size)
    ends = np.minimum(centers[:, None] + reach, cells + 1)
    lengths = np.maximum(ends - np.maximum(centers[:, None] - reach, cells), 0.0)
    shares: NDArray[np.float64] = lengths / (2.0 * reach)
    return shares


class _Checked(PassingGlass):
    """An encoder whose features of patches are looked at, and that may pass over glass."""

    def __init__(self, encoder: TokenEncoder, side: int, *, skip_glass: bool) -> None:
        super().__init__(skip_glass=skip_glass)
        self._encoder, self._side = encoder, side

    def _encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        tokens = np.asarray(self._encoder.tokens(tiles), dtype=np.float32)
        _check(tokens, len(tiles), self._side, self._encoder.card.name)
        return tokens


def _check(tokens: NDArray[np.float32], n_tiles: int, side: int, name: str) -> None:
    if tokens.ndim != 4 or tokens.shape[:3] != (n_tiles, side, side):
        msg = (
            f"Encoder {name!r} returned patches of shape {tokens.shape} for {n_tiles} tiles, expected "
            f"({n_tiles}, {side}, {side}, d)."
        )
        raise ValueError(msg)
    if not np.isfinite(tokens).all():
        msg = f"Encoder {name!r} returned NaN or infinite features of patches."
        raise ValueError(msg)
