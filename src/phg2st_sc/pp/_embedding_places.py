"""How the features of the places of a slide are made.

A tile is cut around every spot and encoded, and so are the tiles around it, which the spots share or have each for
themselves; or all come from one lattice of tiles. Of a vision
transformer, the patches of tiles may be pooled at the spots instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from .._image import SharedLattice, SlideImage, Tiles, context_blocks, context_grid, iter_tiles
from .._progress import bar
from ..encoders import TokenEncoder, encode_places, plan_tokens, pooled_fields, pooled_tokens
from ._embedding_job import Job


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


def features_of_places(image: SlideImage, spots: Tiles, job: Job, *, name: str, pitch_px: float) -> PlaceFeatures:
    """Encode what one slide shows at its spots and around them."""
    if job.context_mode == "tokens":
        return _from_patches(image, spots, job, name, pitch_px)
    make = _from_lattice if job.context_mode == "lattice" else _from_own_tiles
    return make(image, spots, job, name)


def _from_lattice(image: SlideImage, spots: Tiles, job: Job, name: str) -> PlaceFeatures:
    """One lattice of tiles, which all spots share."""
    lattice = SharedLattice.over(spots.centers, spots.size_px, image, context=job.context)
    features, pooled = _encode(image, lattice.tiles, job, name)
    own = np.asarray(lattice.weights @ features, dtype=np.float32)
    if lattice.index is None:
        return PlaceFeatures(own, pooled=pooled)
    return PlaceFeatures(own, lattice.index, lattice.tiles, features.astype(np.float16), pooled=pooled)


def _from_patches(image: SlideImage, spots: Tiles, job: Job, name: str, pitch_px: float) -> PlaceFeatures:
    """Patches of tiles that overlap, pooled at every spot over as much as lies between spots, or half a tile."""
    encoder = job.encoder
    if not isinstance(encoder, TokenEncoder):  # checked where the job was made
        msg = f"Encoder {encoder.card.name!r} has no features of patches."
        raise TypeError(msg)
    um_per_px = job.tile_um / spots.size_px
    pool_um = job.pool_um or min(pitch_px * um_per_px, job.tile_um / 2.0)
    px, patch_px = encoder.card.input_px, encoder.card.patch_px
    plan = plan_tokens(spots.centers, spots.size_px, px // patch_px, pool_um / um_per_px)
    read = partial(iter_tiles, image, out_px=px, batch_size=job.batch_size)
    out = np.empty((len(spots), encoder.card.token_dim or 0), dtype=np.float32)
    with bar(progress=job.progress, total=len(spots), desc=name, unit="spot") as shown:
        for rows, values in pooled_tokens(plan, read, encoder, skip_glass=job.skip_glass):
            out = out if out.shape[1] == values.shape[1] else np.empty((len(spots), values.shape[1]), dtype=np.float32)
            out[rows] = values
            shown.update(len(rows))
    return PlaceFeatures(out, pool_um=pool_um)


def _from_own_tiles(image: SlideImage, spots: Tiles, job: Job, name: str) -> PlaceFeatures:
    """A tile centred on every spot, and the tiles around it."""
    if not job.context:
        own, pooled = _encode(image, spots, job, name)
        return PlaceFeatures(own, pooled=pooled)
    make = context_blocks if job.context_mode == "exact" else context_grid
    tiles, index = make(spots.centers, spots.size_px, job.context, image)
    both = Tiles(np.concatenate([spots.centers, tiles.centers]), spots.size_px)
    features, pooled = _encode(image, both, job, name)
    own, around = features[: len(spots)].copy(), features[len(spots) :].astype(np.float16)
    if job.context_mode == "exact":
        return PlaceFeatures(own, blocks=_gather(around, index), pooled=pooled)
    return PlaceFeatures(own, index, tiles, around, pooled=pooled)


def _encode(image: SlideImage, tiles: Tiles, job: Job, name: str) -> tuple[NDArray[np.float32], tuple[float, ...]]:
    """Features of tiles, and of which fields the image was looked at as a whole."""
    pooled = () if job.skip_glass else pooled_fields(image, tiles, job.encoder)
    total = len(tiles) * len(job.encoder.card.fields)
    with bar(progress=job.progress, total=total, desc=name, unit="tile") as shown:
        features = encode_places(
            image, tiles, job.encoder, pooled=pooled, batch_size=job.batch_size, skip_glass=job.skip_glass, bar=shown
        )
    return features, pooled


def _gather(features: NDArray[np.float16], index: NDArray[np.int32]) -> NDArray[np.float16]:
    blocks = np.full((*index.shape, features.shape[1]), np.nan, dtype=np.float16)
    blocks[index >= 0] = features[index[index >= 0]]
    return blocks
