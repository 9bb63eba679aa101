"""Pictures of the spots of a slide, for methods that read the image themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._image import Tiles, check_resolution, iter_tiles, tile_pixels
from .._slide import check_positions_in_image, for_elsewhere
from .._warn import warn_user

if TYPE_CHECKING:
    from .._image import SlideImage
    from .._slide import Slide

_MPP_TOLERANCE = 0.1


@dataclass(frozen=True, eq=False)
class SlidePatches:
    """Reads squares around spots from the image of a slide.

    Attributes
    ----------
    slide
        The slide.
    centers
        (n, 2) spot centres (x, y) in pixels.
    """

    slide: Slide
    centers: NDArray[np.float64]

    @classmethod
    def of(cls, slide: Slide) -> SlidePatches | None:
        """Pictures of a slide; ``None`` where it has no image, and a ``ValueError`` where it is not clear which."""
        if slide.image_ambiguous:
            msg = f"{slide.image_problem} A method that reads the image itself takes an object with that image alone."
            raise ValueError(msg)
        return None if slide.image_source is None else cls(slide, slide.positions)

    def read(self, rows: NDArray[np.int64], *, edge_um: float, size: int) -> NDArray[np.uint8]:
        """(r, size, size, 3) squares of ``edge_um`` centred on some spots; white beyond the image.

        Raises
        ------
        ValueError
            If µm per pixel is unknown, or the centres lie outside the image.
        """
        image = self.slide.open_image()
        try:
            check_positions_in_image(self.slide, image.height, image.width)
            self._check_scale(image, edge_um)
            edge = tile_pixels(edge_um, pixel_size(self.slide, image)[0])
            check_resolution(edge, image, slide=self.slide.name, tile_um=edge_um)
            out = np.empty((len(rows), size, size, 3), dtype=np.uint8)
            for index, batch in iter_tiles(image, Tiles(self.centers[rows], edge), size):
                out[index] = batch
            return out
        finally:
            image.close()

    def _check_scale(self, image: SlideImage, edge_um: float) -> None:
        if self.slide.mpp is None and image.mpp is None:
            msg = (
                f"Slide {self.slide.name!r}: the size of a pixel is unknown, and is never guessed, so pictures of "
                f"{edge_um:g} µm cannot be cut: store it in uns[{_keys.SPATIAL!r}][library]['metadata'][{_keys.MPP!r}] of the "
                "table (µm per pixel of the image)."
            )
            raise ValueError(msg)

    def anywhere(self) -> SlidePatches:
        """The same, to be sent to another process."""
        return replace(self, slide=for_elsewhere(self.slide))

    def take(self, keep: NDArray[np.int64]) -> SlidePatches:
        """Return those of some of the spots."""
        return replace(self, centers=self.centers[keep])


def pixel_size(slide: Slide, image: SlideImage) -> tuple[float, str]:
    """µm per pixel and where it comes from: the slide's record or arguments, else the image file; never guessed.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    if slide.mpp is None and image.mpp is not None:
        return image.mpp, "image"
    mpp = slide.require_mpp()
    if image.mpp is not None and abs(image.mpp / mpp - 1.0) > _MPP_TOLERANCE:
        msg = (
            f"Slide {slide.name!r}: {mpp:.4g} µm per pixel ({slide.mpp_source}) is used, but the image file says "
            f"{image.mpp:.4g}.{'' if slide.mpp_source == 'argument' else ' Pass `mpp=` if the file is right.'}"
        )
        warn_user(msg)
    return mpp, str(slide.mpp_source)
