"""How the features of the places of a slide are made.

A tile is cut around every spot and encoded, and so are the tiles around it, which the spots share or have each for
themselves. An encoder that is asked for more than tiles gets its turn here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, Tiles, context_blocks, context_grid
from .._progress import bar
from ..encoders import encode_tiles
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
    """

    spots: NDArray[np.float32]
    index: NDArray[np.int32] | None = None
    tiles: Tiles | None = None
    tile_features: NDArray[np.float16] | None = None
    blocks: NDArray[np.float16] | None = None


def features_of_places(image: SlideImage, spots: Tiles, job: Job, *, name: str) -> PlaceFeatures:
    """Encode what one slide shows at its spots and around them."""
    tiles, index = _context(spots, image, job)
    around = spots.centers[:0] if tiles is None else tiles.centers
    both = Tiles(np.concatenate([spots.centers, around]), spots.size_px)
    with bar(progress=job.progress, total=len(both) * len(job.encoder.card.fields), desc=name, unit="tile") as shown:
        features = encode_tiles(image, both, job.encoder, batch_size=job.batch_size, bar=shown)
    own = features[: len(spots)]
    if tiles is None or index is None:
        return PlaceFeatures(own)
    of_tiles = features[len(spots) :].astype(np.float16)
    if job.exact:
        return PlaceFeatures(own, blocks=_gather(of_tiles, index))
    return PlaceFeatures(own.copy(), index, tiles, of_tiles)


def _context(spots: Tiles, image: SlideImage, job: Job) -> tuple[Tiles | None, NDArray[np.int32] | None]:
    if not job.context:
        return None, None
    make = context_blocks if job.exact else context_grid
    return make(spots.centers, spots.size_px, job.context, image)


def _gather(features: NDArray[np.float16], index: NDArray[np.int32]) -> NDArray[np.float16]:
    blocks = np.full((*index.shape, features.shape[1]), np.nan, dtype=np.float16)
    blocks[index >= 0] = features[index[index >= 0]]
    return blocks
