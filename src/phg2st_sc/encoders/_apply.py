"""Run an encoder over the tiles of an image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, Tiles, iter_tiles
from ._base import Encoder


def encode_tiles(
    image: SlideImage, tiles: Tiles, encoder: Encoder, *, batch_size: int = 64, bar: Any = None
) -> NDArray[np.float32]:
    """Encode tiles over all fields of the encoder.

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
    if not len(tiles):
        return np.empty((0, encoder.card.total_dim or 0), dtype=np.float32)
    fields = [_encode_field(image, tiles.scaled(f), encoder, batch_size, bar) for f in encoder.card.fields]
    return np.hstack(fields)


def _encode_field(image: SlideImage, tiles: Tiles, encoder: Encoder, batch_size: int, bar: Any) -> NDArray[np.float32]:
    out: NDArray[np.float32] | None = None
    for index, batch in iter_tiles(image, tiles, encoder.card.input_px, batch_size=batch_size):
        features = np.asarray(encoder(batch), dtype=np.float32)
        if out is None:
            _check(features, len(batch), encoder.card.dim, encoder.card.name)
            out = np.empty((len(tiles), features.shape[1]), dtype=np.float32)
        _check(features, len(batch), out.shape[1], encoder.card.name)
        out[index] = features
        if bar is not None:
            bar.update(len(index))
    return out if out is not None else np.empty((0, encoder.card.dim or 0), dtype=np.float32)


def _check(features: NDArray[np.float32], n_tiles: int, dim: int | None, name: str) -> None:
    if features.ndim != 2 or len(features) != n_tiles or (dim is not None and features.shape[1] != dim):
        wanted = "d" if dim is None else dim
        msg = f"Encoder {name!r} returned shape {features.shape} for {n_tiles} tiles, expected ({n_tiles}, {wanted})."
        raise ValueError(msg)
    if not np.isfinite(features).all():
        msg = f"Encoder {name!r} returned NaN or infinite features."
        raise ValueError(msg)
