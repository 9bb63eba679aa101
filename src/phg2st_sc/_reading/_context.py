"""The tiles around each spot, as :func:`phg2st_sc.pp.extract_embeddings` left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys

if TYPE_CHECKING:
    from .._slide import Slide

Context = tuple[NDArray[np.int32] | None, NDArray[np.floating[Any]] | None]


def context_of(slide: Slide, rep: str) -> Context:
    """Index (n, c²) of each spot's block of tiles, and the features (t, d) of the tiles; ``(None, None)`` without."""
    table = slide.table
    if _keys.context(rep) in table.obsm:
        return _from_blocks(np.asarray(table.obsm[_keys.context(rep)][slide.rows]))
    if _keys.context_index(rep) not in table.obsm:
        return None, None
    tiles = table.uns.get(_keys.TILES, {}).get(rep)
    if tiles is None:
        raise ValueError(_lost(slide, rep, "the features of the tiles are no longer there"))
    index = np.asarray(table.obsm[_keys.context_index(rep)][slide.rows], dtype=np.int64)
    features, centers = np.asarray(tiles["features"]), np.asarray(tiles["positions"], dtype=np.float64)
    if index.max(initial=-1) >= len(features) or not _around_spots(slide.positions, index, centers):
        raise ValueError(_lost(slide, rep, "the tiles there belong to other spots"))
    used, compact = np.unique(index[index >= 0], return_inverse=True)
    out = np.full(index.shape, -1, dtype=np.int32)
    out[index >= 0] = compact
    return out, features[used]


def _from_blocks(blocks: NDArray[np.floating[Any]]) -> Context:
    """One block of tiles per spot, as an index into the tiles that are there."""
    there = np.isfinite(blocks).all(axis=2)
    index = np.full(there.shape, -1, dtype=np.int32)
    index[there] = np.arange(int(there.sum()))
    return index, blocks[there]


def _around_spots(positions: NDArray[np.float64], index: NDArray[np.int64], centers: NDArray[np.float64]) -> bool:
    """Whether the middle tile of every block is the one that its spot lies in, to within a tile."""
    side = round(index.shape[1] ** 0.5)
    middle = index[:, index.shape[1] // 2]
    there = middle >= 0
    if side == 1 or not there.any():
        return True
    step = _side_px(centers[np.unique(index[index >= 0])])  # those of other slides may lie between them
    return bool((np.abs(positions[there] - centers[middle[there]]).max(axis=1) <= step).all())


def _side_px(centers: NDArray[np.float64]) -> float:
    """Distance of neighbouring tiles."""
    from scipy.spatial import cKDTree

    if len(centers) < 2:
        return np.inf
    return float(np.median(cKDTree(centers).query(centers, k=2)[0][:, 1]))


def _lost(slide: Slide, rep: str, why: str) -> str:
    return (
        f"obsm[{_keys.context_index(rep)!r}] does not fit slide {slide.name!r}: {why}. Objects that were concatenated lose "
        "or mix them: run `phg2st_sc.pp.extract_embeddings(data, context=5)` on the object as it is now."
    )
