"""How the features of the places of a slide are made.

A tile is cut around every spot and encoded, and so are the tiles around it, which the spots share or have each for
themselves; or all come from one lattice of tiles. Of a vision transformer, the patches of tiles may be pooled at the spots
instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .._image import Picture, SharedLattice, SlideImage, TileReads, Tiles, context_blocks, context_grid
from .._progress import bar
from ..encoders import (
    FIRST_BATCH,
    Keeping,
    KeptBatches,
    Proof,
    TokenEncoder,
    TokenPlan,
    encode_places,
    plan_tokens,
    pooled_fields,
    pooled_tokens,
    widest_pool,
)
from ._embedding_job import Job

Encode = Callable[[Tiles], tuple[NDArray[np.float32], tuple[float, ...]]]


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


def features_of_places(
    image: SlideImage, spots: Tiles, job: Job, *, name: str, picture: Picture, pitch_px: float
) -> PlaceFeatures:
    """Encode what one slide shows at its spots and around them."""
    keeping = None if job.keep_in is None else Keeping(job.keep_in, job.rep, name, picture)
    if job.context_mode == "tokens":
        return _from_patches(image, spots, job, keeping, name, pitch_px)
    make = _from_lattice if job.context_mode == "lattice" else _from_own_tiles
    return make(image, spots, job, partial(_encode, image, job=job, keeping=keeping, name=name))


def _from_lattice(image: SlideImage, spots: Tiles, job: Job, encode: Encode) -> PlaceFeatures:
    """One lattice of tiles, which all spots share."""
    lattice = SharedLattice.over(spots.centers, spots.size_px, image, context=job.context)
    features, pooled = encode(lattice.tiles)
    own = np.asarray(lattice.weights @ features, dtype=np.float32)
    if lattice.index is None:
        return PlaceFeatures(own, pooled=pooled)
    return PlaceFeatures(own, lattice.index, lattice.tiles, features.astype(np.float16), pooled=pooled)


def _from_patches(
    image: SlideImage, spots: Tiles, job: Job, keeping: Keeping | None, name: str, pitch_px: float
) -> PlaceFeatures:
    """Patches of tiles that overlap, pooled at every spot over as much as lies between spots, as far as it fits into a tile."""
    encoder = job.encoder
    if not isinstance(encoder, TokenEncoder):  # checked where the job was made
        msg = f"Encoder {encoder.card.name!r} has no features of patches."
        raise TypeError(msg)
    um_per_px = job.tile_um / spots.size_px
    px, side = encoder.card.input_px, encoder.card.input_px // encoder.card.patch_px
    pool_um = job.pool_um or min(pitch_px * um_per_px, job.tile_um * widest_pool(side))
    plan = plan_tokens(spots.centers, spots.size_px, side, pool_um / um_per_px)
    reads = TileReads.of(image, plan.tiles, px)
    of = (reads.boxes, reads.levels, reads.order, plan.offsets, plan.owner, plan.reach, job.skip_glass)
    proof = Proof(partial(_again, plan, reads, encoder, job), plan.order(reads.order))
    work = nullcontext() if keeping is None else keeping.work(encoder, "patches", *of, proof=proof)
    out: NDArray[np.float32] | None = None
    with work as kept, bar(progress=job.progress, total=len(spots), desc=name, unit="spot") as shown:
        for rows, values in _pooled(plan, reads, encoder, job, kept):
            if out is None:
                out = np.empty((len(spots), values.shape[1]), dtype=np.float32)
            out[rows] = values
            shown.update(len(rows))
    found = np.empty((0, encoder.card.token_dim or 0), dtype=np.float32) if out is None else out
    return PlaceFeatures(found, pool_um=pool_um)


def _pooled(
    plan: TokenPlan, reads: TileReads, encoder: TokenEncoder, job: Job, kept: KeptBatches | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Spots and their features: those that are kept from before, then those that are made."""
    tiles_done = np.zeros(len(plan.tiles), dtype=bool)
    for rows, values in () if kept is None else kept.done():
        tiles_done[plan.owner[rows]] = True
        yield rows, values
    start = int(tiles_done.sum())  # they were read in this order
    read = partial(TileReads.batches, reads, job.batch_size or FIRST_BATCH, start=start)
    for rows, values in pooled_tokens(plan, lambda _: read(), encoder, skip_glass=job.skip_glass):
        if kept is not None:
            kept.add(rows, values)
        yield rows, values


def _again(
    plan: TokenPlan, reads: TileReads, encoder: TokenEncoder, job: Job, numbers: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Features of some of the spots."""
    tiles = np.unique(plan.owner[numbers])
    few = replace(reads, order=tiles)
    batches = pooled_tokens(plan, lambda _: few.batches(len(tiles)), encoder, skip_glass=job.skip_glass)
    rows, values = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    place = np.argsort(rows)
    return values[place[np.searchsorted(rows, numbers, sorter=place)]]


def _from_own_tiles(image: SlideImage, spots: Tiles, job: Job, encode: Encode) -> PlaceFeatures:
    """A tile centred on every spot, and the tiles around it."""
    if not job.context:
        own, pooled = encode(spots)
        return PlaceFeatures(own, pooled=pooled)
    make = context_blocks if job.context_mode == "exact" else context_grid
    tiles, index = make(spots.centers, spots.size_px, job.context, image)
    both = Tiles(np.concatenate([spots.centers, tiles.centers]), spots.size_px)
    features, pooled = encode(both)
    own, around = features[: len(spots)].copy(), features[len(spots) :].astype(np.float16)
    if job.context_mode == "exact":
        return PlaceFeatures(own, blocks=_gather(around, index), pooled=pooled)
    return PlaceFeatures(own, index, tiles, around, pooled=pooled)


def _encode(
    image: SlideImage, tiles: Tiles, *, job: Job, keeping: Keeping | None, name: str
) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Features of tiles, and of which fields the image was looked at as a whole."""
    pooled = () if job.skip_glass else pooled_fields(image, tiles, job.encoder)
    total = len(tiles) * len(job.encoder.card.fields)
    with bar(progress=job.progress, total=total, desc=name, unit="tile") as shown:
        features = encode_places(
            image,
            tiles,
            job.encoder,
            pooled=pooled,
            batch_size=job.batch_size,
            skip_glass=job.skip_glass,
            keeping=keeping,
            bar=shown,
        )
    return features, pooled


def _gather(features: NDArray[np.float16], index: NDArray[np.int32]) -> NDArray[np.float16]:
    blocks = np.full((*index.shape, features.shape[1]), np.nan, dtype=np.float16)
    blocks[index >= 0] = features[index[index >= 0]]
    return blocks
