"""The tiles around each spot, as :func:`phg2st_sc.pp.extract_embeddings` left them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._slide import embedding_records, numbers, spot_numbers
from .._text import quoted

if TYPE_CHECKING:
    from .._slide import Slide

Context = tuple[NDArray[np.int32] | None, NDArray[np.floating[Any]] | None]


def context_of(slide: Slide, rep: str) -> Context:
    """Index (n, c²) of each spot's block of tiles, and the features (t, d) of the tiles; ``(None, None)`` without.

    Raises
    ------
    TypeError, ValueError
        If they are no numbers, or not those of the slide's spots.
    """
    table = slide.table
    if _keys.context(rep) in table.obsm:
        return _from_blocks(slide, rep)
    if _keys.context_index(rep) not in table.obsm:
        return None, None
    features, centers = _tiles(slide, rep)
    index = _index(slide, rep)
    if index.max(initial=-1) >= len(features) or not _around_spots(slide.positions, index, centers):
        raise ValueError(_lost(slide, rep, "the tiles there belong to other spots"))
    used, compact = np.unique(index[index >= 0], return_inverse=True)
    out = np.full(index.shape, -1, dtype=np.int32)
    out[index >= 0] = compact
    tiles = features[used]
    if not np.isfinite(tiles).all():
        raise ValueError(_lost(slide, rep, "features of tiles are NaN or infinite"))
    return out, tiles


def _tiles(slide: Slide, rep: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Features (t, d) and centres (t, 2) of all tiles of the table."""
    record = embedding_records(slide.table, _keys.TILES).get(rep, {})
    if not {"features", "positions"} <= set(record):
        raise ValueError(_lost(slide, rep, "the features of the tiles are no longer there"))
    where = f"uns[{_keys.TILES!r}][{rep!r}]"
    features, centers = (numbers(record[what], f"{where}[{what!r}]") for what in ("features", "positions"))
    if centers.shape != (len(features), 2):
        raise ValueError(_lost(slide, rep, f"{where} holds {len(features)} tiles at {len(centers)} places"))
    return features, centers.astype(np.float64)


def _index(slide: Slide, rep: str) -> NDArray[np.int64]:
    """Number of each tile around each spot, -1 where there is none, as gaps are where objects were concatenated."""
    index = spot_numbers(slide.table, _keys.context_index(rep), slide.rows)
    filled = np.where(np.isnan(index), -1, index)
    if (filled != np.floor(filled)).any() or filled.min(initial=-1) < -1:
        raise ValueError(_lost(slide, rep, "it holds values that are no numbers of tiles"))
    return filled.astype(np.int64)


def _from_blocks(slide: Slide, rep: str) -> Context:
    """One block of tiles per spot, as an index into the tiles that are there."""
    blocks = spot_numbers(slide.table, _keys.context(rep), slide.rows, ndim=3)
    there = ~np.isnan(blocks).all(axis=2)
    odd = (there & ~np.isfinite(blocks).all(axis=2)).any(axis=1)
    if odd.any():
        names = slide.table.obs_names[slide.rows[odd]]
        msg = (
            f"obsm[{_keys.context(rep)!r}] is not finite in tiles of {len(names)} spots of slide {slide.name!r} ({quoted(names)}); a "
            "tile that is not there is NaN throughout. Leave these spots out, or run `phg2st_sc.pp.extract_embeddings` anew."
        )
        raise ValueError(msg)
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
