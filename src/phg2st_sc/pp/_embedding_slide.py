"""Embed one slide: open its image, see whether spots and image fit, encode."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._image import Picture, Tiles, WatchedImage, check_resolution, check_tissue, tile_pixels, warn_of_padding
from .._reading import pixel_size, warn_of_another_picture
from .._slide import Slide, check_positions_in_image
from ._embedding_places import PlaceFeatures, features_of_places

if TYPE_CHECKING:
    from .._image import SlideImage
    from ._embedding_job import Job

logger = logging.getLogger("phg2st_sc")


@dataclass(frozen=True, eq=False)
class EmbeddedSlide:
    """What one slide yields.

    Attributes
    ----------
    slide
        The slide.
    mpp, mpp_source
        µm per pixel, and where that comes from.
    picture
        What tells its picture from others.
    n_padded
        Spots whose tile reaches beyond the image.
    found
        Features.
    """

    slide: Slide
    mpp: float
    mpp_source: str
    picture: Picture
    n_padded: int
    found: PlaceFeatures


def embed_slide(slide: Slide, job: Job) -> EmbeddedSlide:
    """Embed one slide."""
    opened = slide.open_image()
    try:
        return _embed_on(slide, opened, job)
    finally:
        opened.close()


def _embed_on(slide: Slide, image: SlideImage, job: Job) -> EmbeddedSlide:
    check_positions_in_image(slide, image.height, image.width)
    mpp, source = pixel_size(slide, image)
    size_px = tile_pixels(job.tile_um, mpp)
    check_resolution(size_px, image, slide=slide.name, tile_um=job.tile_um)
    of_slide: dict[str, Any] = {"slide": slide.name, "names": slide.table.obs_names[slide.rows]}
    watched = WatchedImage(image, slide.positions, size_px)
    looked_at = check_tissue(slide.positions, size_px, image, **of_slide)
    spots = Tiles(slide.positions, size_px)
    n_padded = int(spots.beyond(image).sum())
    if n_padded:
        logger.info("%s: %d of %d tiles reach beyond the image; padded with white", slide.name, n_padded, len(spots))
    picture = Picture.of(image, slide.image_name)
    warn_of_another_picture(slide, picture, job.rep)
    found = features_of_places(
        image if looked_at else watched, spots, job, name=slide.name, picture=picture, pitch_px=slide.pitch_px
    )
    if not looked_at:
        warn_of_padding(watched.on_padding(), **of_slide)
    return EmbeddedSlide(slide, mpp, source, picture, n_padded, found)
