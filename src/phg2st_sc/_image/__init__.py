"""Slide images that open without decoding: one protocol over files, arrays and SpatialData elements."""

from __future__ import annotations

from ._around import context_blocks, context_grid
from ._base import ImageLevel, SlideImage, is_slide_image
from ._black import is_padding
from ._glass import is_glass
from ._identity import Picture, only_picture, pictures_record, recorded_pictures
from ._on_tissue import check_tissue, warn_of_padding
from ._open import open_image, open_named
from ._read_ahead import TileReads, iter_tiles
from ._read_tile import choose_level, read_padded
from ._shared_lattice import SharedLattice
from ._tiles import Tiles, check_length, check_resolution, tile_pixels
from ._watched import Noted, WatchedImage

__all__ = [
    "ImageLevel",
    "Noted",
    "Picture",
    "SharedLattice",
    "SlideImage",
    "TileReads",
    "Tiles",
    "WatchedImage",
    "check_length",
    "check_resolution",
    "check_tissue",
    "choose_level",
    "context_blocks",
    "context_grid",
    "is_glass",
    "is_padding",
    "is_slide_image",
    "iter_tiles",
    "only_picture",
    "open_image",
    "open_named",
    "pictures_record",
    "read_padded",
    "recorded_pictures",
    "tile_pixels",
    "warn_of_padding",
]
