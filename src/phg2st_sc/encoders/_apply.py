"""Run an encoder over the tiles of an image."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, TileReads, Tiles
from ._base import Encoder
from ._batch_size import BatchSize
from ._kept import Keeping, KeptBatches, Proof
from ._passing_glass import PassingGlass


def encode_tiles(
    image: SlideImage,
    tiles: Tiles,
    encoder: Encoder,
    *,
    batch_size: int | None = 64,
    skip_glass: bool = False,
    keeping: Keeping | None = None,
    bar: Any = None,
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
        Tiles per call of the encoder; ``None``: see :class:`BatchSize`.
    skip_glass
        Give tiles that show glass alone the features of a white tile.
    keeping
        Where batches are kept as they come, and those of the same work are found.
    bar
        A tqdm bar, advanced by one per tile and field.

    Returns
    -------
    (t, fields * dim) float32.
    """
    card, n_tiles = encoder.card, len(tiles)
    out: NDArray[np.float32] | None = None
    reads = TileReads.of(image, tiles, card.input_px, card.fields)
    of = (reads.boxes, reads.levels, reads.order, skip_glass)
    encode = _Checked(encoder, skip_glass=skip_glass)
    proof = Proof(partial(_again, reads, encode), reads.order)
    work = nullcontext() if keeping is None else keeping.work(encoder, "tiles", *of, proof=proof)
    with work as kept, closing(_batches(reads, encode, BatchSize(encoder, batch_size), kept)) as batches:
        for index, features in batches:
            if out is None:
                out = np.full((n_tiles, len(card.fields), features.shape[1]), np.nan, dtype=np.float32)
            out[index % n_tiles, index // n_tiles] = features
            if bar is not None:
                bar.update(len(index))
    if out is None:
        return np.empty((0, card.total_dim or 0), dtype=np.float32)
    _refuse_gaps(out, card.name)
    return out.reshape(n_tiles, -1)


def _batches(
    reads: TileReads, encode: _Checked, batch_size: BatchSize, kept: KeptBatches | None
) -> Generator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Numbers of tiles and their features: those that are kept from before, then those that are made."""
    start = 0
    for index, features in () if kept is None else kept.done():
        yield index, features
        start += len(index)
    with closing(reads.batches(batch_size, start=start)) as batches:
        for index, batch in batches:
            begun = time.perf_counter()
            features = encode(batch)
            batch_size.took(len(index), time.perf_counter() - begun)
            if kept is not None:
                kept.add(index, features)
            yield index, features


def _again(reads: TileReads, encode: _Checked, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features of some of the tiles."""
    ((_, batch),) = replace(reads, order=numbers).batches(len(numbers))
    return encode(batch)


class _Checked(PassingGlass):
    """An encoder whose features are looked at, and that may pass over glass."""

    def __init__(self, encoder: Encoder, *, skip_glass: bool) -> None:
        super().__init__(skip_glass=skip_glass)
        self._encoder, self._dim = encoder, encoder.card.dim

    def _encode(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        features = np.asarray(self._encoder(tiles), dtype=np.float32)
        _check(features, len(tiles), self._dim, self._encoder.card.name)
        self._dim = features.shape[1]
        return features


def _check(features: NDArray[np.float32], n_tiles: int, dim: int | None, name: str) -> None:
    if features.ndim != 2 or len(features) != n_tiles or (dim is not None and features.shape[1] != dim):
        wanted = "d" if dim is None else dim
        msg = f"Encoder {name!r} returned shape {features.shape} for {n_tiles} tiles, expected ({n_tiles}, {wanted})."
        raise ValueError(msg)
    if not np.isfinite(features).all():
        msg = f"Encoder {name!r} returned NaN or infinite features."
        raise ValueError(msg)


def _refuse_gaps(features: NDArray[np.float32], name: str) -> None:
    n_missing = int(np.isnan(features).any(axis=2).sum())
    if n_missing:
        msg = (
            f"Encoder {name!r} was not asked for {n_missing} of {features.shape[0] * features.shape[1]} tiles. Delete the "
            "features that were kept, the folder `cache=` or those in the store by `io.recover(store)`, and call again."
        )
        raise ValueError(msg)
