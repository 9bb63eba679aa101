"""The offline encoder: stain-separated colour and multi-scale texture statistics, deterministic, without weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .._image import SlideImage, Tiles
from ._base import EncoderCard
from ._registry import register_encoder
from ._texture_maps import Map, binary_patterns, distribution, halve, orientation, pyramid, scale_energies
from ._texture_nuclei import nuclei
from ._texture_places import covered_pixels, iter_places
from ._texture_stains import DENSE, TISSUE, lab_of_tile, stains_of_tile

INPUT_PX = 160
TILE_UM = 112.0
FIELDS = (1.0, 5.0)
"""The tile itself, and the 5 x 5 block of tiles around it: spots lie 100-200 µm apart, and expression varies over more."""
_MIN_PX = 64
_LEVELS = 4


N_FEATURES = 141
CARD = EncoderCard(
    name="texture",
    dim=N_FEATURES,
    input_px=INPUT_PX,
    tile_um=TILE_UM,
    fields=FIELDS,
    license="BSD-3-Clause",
    needs_weights=False,
    revision="1",
    transform="none",
    source="scikit-image, scipy",
)


class TextureEncoder:
    """Colour, texture and nuclei statistics of every tile, computed tile by tile in float32.

    Nothing is random and no tile sees another one, so a tile has the same features, to the bit, in every batch.

    Examples
    --------
    >>> import numpy as np
    >>> import phg2st_sc as phg2st
    >>> encoder = phg2st.encoders.TextureEncoder()
    >>> encoder(np.full((2, 160, 160, 3), 255, dtype=np.uint8)).shape
    (2, 141)
    """

    def __init__(self) -> None:
        self.card = CARD

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (b, h, w, 3) uint8 tiles to (b, d) float32."""
        out = np.empty((len(tiles), N_FEATURES), dtype=np.float32)
        for row, tile in zip(out, tiles, strict=True):
            row[:] = tile_features(tile)
        return out

    def covered_pixels(self, image: SlideImage, tiles: Tiles) -> int:
        """Pixels, at the resolution of the tiles, that :meth:`embed_places` looks at."""
        return covered_pixels(image, tiles, INPUT_PX)

    def embed_places(self, image: SlideImage, tiles: Tiles) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Embed tiles by filtering the image once, block by block, and pooling at every tile.

        Parameters
        ----------
        image
            An opened image.
        tiles
            Tiles of one field.

        Yields
        ------
        (b,) int64 positions in ``tiles`` and their (b, 141) float32 features. Tiles are left out that lie far off the image,
        and those with black areas of which it depends on the tile whether they are padding.
        """
        return iter_places(image, tiles, INPUT_PX, TILE_UM / INPUT_PX, feature_names())


def tile_features(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    """All statistics of one (h, w, 3) uint8 tile, in the order of :func:`feature_names`."""
    if min(tile.shape[:2]) < _MIN_PX:
        msg = f"The texture encoder needs tiles of at least {_MIN_PX} x {_MIN_PX} pixels, got {tile.shape[:2]}."
        raise ValueError(msg)
    values = np.array([value for _, value in _describe(tile)], dtype=np.float32)
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)


@cache
def feature_names() -> tuple[str, ...]:
    """Names of the statistics of one tile and field, in order."""
    blank = np.full((_MIN_PX, _MIN_PX, 3), 255, dtype=np.uint8)
    return tuple(name for name, _ in _describe(blank))


def _describe(tile: NDArray[np.uint8]) -> Iterator[tuple[str, float]]:
    stains = stains_of_tile(tile)
    density = stains["density"]
    yield "tissue_fraction", float(np.mean(density > TISSUE))
    yield "dense_fraction", float(np.mean(density > DENSE))
    small = {name: halve(channel) for name, channel in stains.items()}
    for name, channel in {**small, **lab_of_tile(tile)}.items():
        yield from _named(name, distribution(channel))
    yield from _textures(stains)
    grey = tile.mean(axis=-1, dtype=np.float32)
    for level, channel in enumerate(pyramid(grey, 3)[1:], start=1):
        yield from _named(f"grey_s{level}", binary_patterns(channel))
    yield from _named("structure", orientation(small["density"], 9))
    yield from _named("nuclei", nuclei(small["haematoxylin"], 2 * TILE_UM / tile.shape[0]))


def _textures(stains: dict[str, Map]) -> Iterator[tuple[str, float]]:
    for name in ("haematoxylin", "eosin"):
        levels = pyramid(stains[name], _LEVELS + 1)
        for scale, level in enumerate(levels[1:], start=1):
            yield from _named(f"{name}_s{scale}", scale_energies(level))
    h, e = halve(halve(stains["haematoxylin"])), halve(halve(stains["eosin"]))
    yield "haematoxylin_eosin_corr", _correlation(h, e)


def _named(prefix: str, values: Iterator[tuple[str, float]]) -> Iterator[tuple[str, float]]:
    for name, value in values:
        yield f"{prefix}_{name}", value


def _correlation(a: Map, b: Map) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt(np.mean(a * a) * np.mean(b * b)))
    return float(np.mean(a * b)) / scale if scale > 1e-5 else 0.0


register_encoder(CARD, TextureEncoder)
