"""Features of places of an image, by the quicker way: from tiles that are cut out, or from the image as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, Tiles
from ._apply import encode_tiles
from ._base import Encoder, EncoderCard, PlaceEncoder
from ._kept import Batch, Keeping, KeptBatches, Proof

_BLOCKS_AGAIN = 3
"""Places that are looked at again where features are kept, for each of which a block of the image is filtered."""


def pooled_fields(image: SlideImage, tiles: Tiles, encoder: Encoder) -> tuple[float, ...]:
    """Fields whose tiles share so many pixels that the image is better looked at as a whole.

    Parameters
    ----------
    image
        An opened image.
    tiles
        Tiles of the encoder's first field of view: all that will be asked for.
    encoder
        An opened encoder.

    Returns
    -------
    Those of the card's fields whose tiles have more pixels together than the part of the image that they cover. Empty for
    encoders that know tiles only.
    """
    if not isinstance(encoder, PlaceEncoder):
        return ()
    n_pixels = len(tiles) * encoder.card.input_px**2
    return tuple(f for f in encoder.card.fields if n_pixels > encoder.covered_pixels(image, tiles.scaled(f)))


def encode_places(
    image: SlideImage,
    tiles: Tiles,
    encoder: Encoder,
    *,
    pooled: tuple[float, ...] = (),
    batch_size: int | None = 64,
    skip_glass: bool = False,
    keeping: Keeping | None = None,
    bar: Any = None,
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
    pooled
        Fields that are looked at as a whole, by :func:`pooled_fields`.
    batch_size
        Tiles per call of the encoder; ``None``: as it proves best.
    skip_glass
        Give tiles that are cut out and show glass alone the features of a white tile.
    keeping
        Where features are kept as they come, and those of the same work are found.
    bar
        A tqdm bar, advanced by one per tile and field.

    Returns
    -------
    (t, fields * dim) float32.
    """
    fields = encoder.card.fields
    cut_out = partial(encode_tiles, image, batch_size=batch_size, skip_glass=skip_glass, keeping=keeping, bar=bar)
    if not pooled or not len(tiles):
        return cut_out(tiles, encoder)
    out = np.empty((len(tiles), len(fields), encoder.card.dim or 0), dtype=np.float32)
    for i, field in enumerate(fields):
        if field in pooled:
            _pool(image, tiles.scaled(field), encoder, cut_out, keeping, bar, out[:, i])
    others = [i for i, field in enumerate(fields) if field not in pooled]
    if others:
        cut = cut_out(tiles, _OfFields(encoder, tuple(fields[i] for i in others)))
        out[:, others] = cut.reshape(len(tiles), len(others), -1)
    return out.reshape(len(tiles), -1)


def _pool(
    image: SlideImage,
    tiles: Tiles,
    encoder: Any,
    cut_out: Any,
    keeping: Keeping | None,
    bar: Any,
    out: NDArray[np.float32],
) -> None:
    """Fill in the features of one field.

    Every field reads the image for itself: that is a coarser level of a pyramid for the larger one, and where there is none, a second
    decoding takes some 2 % of the time of both.
    """
    left = np.ones(len(tiles), dtype=bool)
    proof = Proof(partial(_again, image, tiles, encoder), n=_BLOCKS_AGAIN)
    work = (
        nullcontext() if keeping is None else keeping.work(encoder, "places", tiles.centers, tiles.size_px, proof=proof)
    )
    with work as kept:
        for index, features in _parts(image, tiles, encoder, kept):
            out[index], left[index] = features, False
            if bar is not None:
                bar.update(len(index))
    if left.any():
        out[left] = cut_out(Tiles(tiles.centers[left], tiles.size_px), _OfFields(encoder, (1.0,)))


def _parts(image: SlideImage, tiles: Tiles, encoder: Any, kept: KeptBatches | None) -> Iterator[Batch]:
    """Numbers of tiles and their features: those that are kept from before, then those that are made."""
    left = np.ones(len(tiles), dtype=bool)
    for index, features in () if kept is None else kept.done():
        left[index] = False
        yield index, features
    numbers = np.flatnonzero(left)
    for index, features in encoder.embed_places(image, Tiles(tiles.centers[left], tiles.size_px)):
        if kept is not None:
            kept.add(numbers[index], features)
        yield numbers[index], features


def _again(image: SlideImage, tiles: Tiles, encoder: Any, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """Features of some of the tiles; NaN where they need to be looked at one by one by now."""
    found = np.full((len(numbers), encoder.card.dim), np.nan, dtype=np.float32)
    for index, features in encoder.embed_places(image, Tiles(tiles.centers[numbers], tiles.size_px)):
        found[index] = features
    return found


class _OfFields:
    """An encoder that is asked for some of its fields only."""

    def __init__(self, encoder: Encoder, fields: tuple[float, ...]) -> None:
        self._encoder = encoder
        self.card: EncoderCard = replace(encoder.card, fields=fields)

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode tiles as the encoder does."""
        return self._encoder(tiles)
