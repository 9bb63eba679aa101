"""Embed one slide: open its image, see whether spots and image fit, encode."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._image import Picture, Tiles, WatchedImage, check_resolution, check_tissue, tile_pixels, warn_of_padding
from .._progress import bar
from .._reading import pixel_size, warn_of_another_picture
from .._slide import Slide, check_positions_in_image
from ..encoders import Keeping
from ._embedding_layout import Layout, PlaceFeatures, layout_of

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


@dataclass(frozen=True, eq=False)
class Survey:
    """A slide on its image, checked, and what is to be encoded on it.

    Attributes
    ----------
    slide, mpp, mpp_source, picture, n_padded
        As in :class:`EmbeddedSlide`.
    watched
        The image, which notes spots on padding.
    is_looked_at
        Whether all spots were looked at for padding already.
    layout
        What is to be encoded.
    """

    slide: Slide
    mpp: float
    mpp_source: str
    picture: Picture
    n_padded: int
    watched: WatchedImage
    is_looked_at: bool
    layout: Layout

    @classmethod
    def of(cls, slide: Slide, image: SlideImage, job: Job) -> Survey:
        """Look at a slide."""
        check_positions_in_image(slide, image.height, image.width)
        mpp, source = pixel_size(slide, image)
        size_px = tile_pixels(job.tile_um, mpp)
        check_resolution(size_px, image, slide=slide.name, tile_um=job.tile_um)
        watched = WatchedImage(image, slide.positions, size_px)
        is_looked_at = check_tissue(slide.positions, size_px, image, **_names(slide))
        spots = Tiles(slide.positions, size_px)
        n_padded = int(spots.beyond(image).sum())
        if n_padded:
            logger.info(
                "%s: %d of %d tiles reach beyond the image; padded with white", slide.name, n_padded, len(spots)
            )
        picture = Picture.of(image, slide.image_name)
        warn_of_another_picture(slide, picture, job.rep)
        layout = layout_of(image, spots, job, pitch_px=slide.pitch_px)
        return cls(slide, mpp, source, picture, n_padded, watched, is_looked_at, layout)

    def keeping(self, job: Job) -> Keeping | None:
        """Where features are kept on their way."""
        return None if job.keep_in is None else Keeping(job.keep_in, job.rep, self.slide.name, self.picture)

    def finish(self, features: NDArray[np.float32]) -> EmbeddedSlide:
        """What the slide yields, once all is encoded."""
        if not self.is_looked_at:
            warn_of_padding(self.watched.on_padding(), **_names(self.slide))
        found = self.layout.finish(features)
        return EmbeddedSlide(self.slide, self.mpp, self.mpp_source, self.picture, self.n_padded, found)


@dataclass(frozen=True, eq=False)
class Asked:
    """The slides of one object, what is to be made of them, and what is to be done with that.

    Attributes
    ----------
    slides
        The slides.
    job
        Settings.
    take
        Called once all slides are done.
    """

    slides: Sequence[Slide]
    job: Job
    take: Callable[[list[EmbeddedSlide]], None]


def embed_here(asked: Sequence[Asked]) -> None:
    """Embed the slides of several objects in this process, and take each object when it is done."""
    for one in asked:
        one.take([embed_slide(slide, one.job) for slide in one.slides])


def embed_slide(slide: Slide, job: Job) -> EmbeddedSlide:
    """Embed one slide."""
    image = slide.open_image()
    try:
        survey = Survey.of(slide, image, job)
        work = survey.layout.work
        with bar(progress=job.progress, desc=slide.name, **work.looks(job)) as shown:
            read_from = image if survey.is_looked_at else survey.watched
            features = work.encode(read_from, job, survey.keeping(job), shown)
        return survey.finish(features)
    finally:
        image.close()


def _names(slide: Slide) -> dict[str, Any]:
    return {"slide": slide.name, "names": slide.table.obs_names[slide.rows]}
