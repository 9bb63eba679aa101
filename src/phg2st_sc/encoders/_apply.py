"""Run an encoder over the tiles of an image."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, TileReads, Tiles
from ._base import Encoder


def encode_tiles(
    image: SlideImage, tiles: Tiles, encoder: Encoder, *, batch_size: int = 64, bar: Any = None
) -> NDArray[np.float32]:
    """Encode tiles over all fields of the encoder, in one sweep over the image.

    Parameters
    ----------
    image
        An opened image.
    tiles
        Tiles of the encoder's first field of view.
    encoder
        An opened encoder.
    batch_size
        Tiles per call of the encoder.
    bar
        A tqdm bar, advanced by one per tile and field.

    Returns
    -------
    (t, fields * dim) float32.
    """
    card, n_tiles = encoder.card, len(tiles)
    dim, out = card.dim, None
    reads = TileReads.of(image, tiles, card.input_px, card.fields)
    with closing(reads.batches(batch_size)) as batches:
        for index, batch in batches:
            features = np.asarray(encoder(batch), dtype=np.float32)
            _check(features, len(batch), dim, card.name)
            if out is None:
                dim = features.shape[1]
                out = np.empty((n_tiles, len(card.fields), dim), dtype=np.float32)
            out[index % n_tiles, index // n_tiles] = features
            if bar is not None:
                bar.update(len(index))
    return np.empty((0, card.total_dim or 0), dtype=np.float32) if out is None else out.reshape(n_tiles, -1)


def _check(features: NDArray[np.float32], n_tiles: int, dim: int | None, name: str) -> None:
    if features.ndim != 2 or len(features) != n_tiles or (dim is not None and features.shape[1] != dim):
        wanted = "d" if dim is None else dim
        msg = f"Encoder {name!r} returned shape {features.shape} for {n_tiles} tiles, expected ({n_tiles}, {wanted})."
        raise ValueError(msg)
    if not np.isfinite(features).all():
        msg = f"Encoder {name!r} returned NaN or infinite features."
        raise ValueError(msg)
