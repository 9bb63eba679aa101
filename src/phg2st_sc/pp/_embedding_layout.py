"""How the features of the places of a slide are made: what is to be encoded, and what becomes of it.

A tile is cut around every spot and encoded, and so are the tiles around it, which the spots share or have each for
themselves; or all come from one lattice of tiles. Of a vision transformer, the patches of tiles may be pooled at the spots
instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .._image import SharedLattice, SlideImage, Tiles, context_blocks, context_grid
from ..encoders import TokenEncoder, plan_tokens, pooled_fields, widest_pool
from ._embedding_job import Job
from ._embedding_work import PatchWork, TileWork

Features = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PlaceFeatures:
    """Features of the spots of one slide, and of the tiles around them.

    Attributes
    ----------
    spots
        (n, d) float32.
    index
        (n, context²) int32 rows of ``tile_features``; -1 = outside the image.
    tiles
        The tiles around the spots.
    tile_features
        (t, d) float16.
    blocks
        (n, context², d) float16, in place of these where every spot has tiles of its own.
    pooled
        Fields of view for which no tiles were cut out.
    pool_um
        Side in µm of the squares over which patches were pooled, where they were.
    """

    spots: NDArray[np.float32]
    index: NDArray[np.int32] | None = None
    tiles: Tiles | None = None
    tile_features: NDArray[np.float16] | None = None
    blocks: NDArray[np.float16] | None = None
    pooled: tuple[float, ...] = ()
    pool_um: float | None = None


@dataclass(frozen=True, eq=False)
class Layout:
    """What is to be encoded on one slide, and what becomes of its features.

    Attributes
    ----------
    work
        Tiles, or tiles whose patches are pooled.
    finish
        Makes features of the spots of the features of all of these, and puts the tiles around beside them.
    """

    work: TileWork | PatchWork
    finish: Callable[[Features], PlaceFeatures]


def layout_of(image: SlideImage, spots: Tiles, job: Job, *, pitch_px: float) -> Layout:
    """Lay tiles over one slide; no pixel is read."""
    if job.context_mode == "tokens":
        return _patches(spots, job, pitch_px)
    return (_lattice if job.context_mode == "lattice" else _own_tiles)(image, spots, job)


def _tile_work(image: SlideImage, tiles: Tiles, job: Job) -> TileWork:
    return TileWork(tiles, () if job.skip_glass else pooled_fields(image, tiles, job.encoder))


def _lattice(image: SlideImage, spots: Tiles, job: Job) -> Layout:
    """One lattice of tiles, which all spots share."""
    lattice = SharedLattice.over(spots.centers, spots.size_px, image, context=job.context)
    work = _tile_work(image, lattice.tiles, job)

    def finish(features: Features) -> PlaceFeatures:
        own = np.asarray(lattice.weights @ features, dtype=np.float32)
        if lattice.index is None:
            return PlaceFeatures(own, pooled=work.pooled)
        return PlaceFeatures(own, lattice.index, lattice.tiles, features.astype(np.float16), pooled=work.pooled)

    return Layout(work, finish)


def _own_tiles(image: SlideImage, spots: Tiles, job: Job) -> Layout:
    """A tile centred on every spot, and the tiles around it."""
    if not job.context:
        work = _tile_work(image, spots, job)
        return Layout(work, partial(PlaceFeatures, pooled=work.pooled))
    make = context_blocks if job.context_mode == "exact" else context_grid
    tiles, index = make(spots.centers, spots.size_px, job.context, image)
    work = _tile_work(image, Tiles(np.concatenate([spots.centers, tiles.centers]), spots.size_px), job)

    def finish(features: Features) -> PlaceFeatures:
        own, around = features[: len(spots)].copy(), features[len(spots) :].astype(np.float16)
        if job.context_mode == "exact":
            return PlaceFeatures(own, blocks=_gather(around, index), pooled=work.pooled)
        return PlaceFeatures(own, index, tiles, around, pooled=work.pooled)

    return Layout(work, finish)


def _gather(features: NDArray[np.float16], index: NDArray[np.int32]) -> NDArray[np.float16]:
    blocks = np.full((*index.shape, features.shape[1]), np.nan, dtype=np.float16)
    blocks[index >= 0] = features[index[index >= 0]]
    return blocks


def _patches(spots: Tiles, job: Job, pitch_px: float) -> Layout:
    """Patches of tiles that overlap, pooled at every spot over as much as lies between spots, as far as it fits into a tile."""
    encoder = job.encoder
    if not isinstance(encoder, TokenEncoder):  # checked where the job was made
        msg = f"Encoder {encoder.card.name!r} has no features of patches."
        raise TypeError(msg)
    um_per_px = job.tile_um / spots.size_px
    side = encoder.card.input_px // encoder.card.patch_px
    pool_um = job.pool_um or min(pitch_px * um_per_px, job.tile_um * widest_pool(side))
    plan = plan_tokens(spots.centers, spots.size_px, side, pool_um / um_per_px)
    return Layout(PatchWork(plan), partial(PlaceFeatures, pool_um=pool_um))
