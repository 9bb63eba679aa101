"""Where an image shows tissue, read at low resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .._tiles import choose_level
from ._target_region import Raster

if TYPE_CHECKING:
    from .._image import SlideImage

_PIXELS_PER_PITCH = 8.0
_MOST_PIXELS = 4000
_BAND_ROWS = 256
_SMOOTH = 1.0
_CLOSE_PITCHES = 0.5
_SMALL_PITCHES = 4.0
_ON_TISSUE_PERCENTILE = 10
_LEAST_OF_OTSU = 0.5


def tissue_mask(image: SlideImage, positions: NDArray[np.float64], pitch: float) -> Raster:
    """Tissue, as a raster of about an eighth of a pitch.

    Colourfulness (largest minus smallest of red, green and blue: near 0 on glass, and on background that was masked white
    or black) above Otsu's threshold, lowered where the measured spots are paler; closed, and without islands and holes
    below four squared pitches.

    Parameters
    ----------
    image
        An opened image.
    positions
        (n, 2) measured spots in its pixels, which are taken to lie on tissue in the main.
    pitch
        Distance of neighbouring spots in the same pixels.

    Returns
    -------
    Raster over the image.
    """
    from scipy import ndimage
    from skimage.filters import threshold_otsu
    from skimage.morphology import closing, disk

    thumbnail, pixel = _low_resolution(image, pitch)
    colour = thumbnail.max(axis=2).astype(np.float32) - thumbnail.min(axis=2)
    colour = ndimage.gaussian_filter(colour, _SMOOTH)
    at = np.clip((positions / pixel).astype(np.int64), 0, np.array(colour.shape)[::-1] - 1)
    otsu = float(threshold_otsu(colour)) if np.ptp(colour) > 0 else float(colour[0, 0]) - 1.0
    paler = float(np.percentile(colour[at[:, 1], at[:, 0]], _ON_TISSUE_PERCENTILE))
    mask = colour >= max(min(otsu, paler), _LEAST_OF_OTSU * otsu)
    per_pitch = pitch / float(pixel.mean())
    reach = max(1, round(_CLOSE_PITCHES * per_pitch))
    mask = closing(np.pad(mask, reach, mode="edge"), disk(reach))[reach:-reach, reach:-reach]
    smallest = _SMALL_PITCHES * per_pitch**2
    mask = ~_without_small(~mask, smallest)
    return Raster(_without_small(mask, smallest), np.zeros(2), pixel)


def _low_resolution(image: SlideImage, pitch: float) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """(h, w, 3) picture of the whole image, read band by band, and the (width, height) of its pixels."""
    from PIL import Image

    wanted = max(pitch / _PIXELS_PER_PITCH, max(image.height, image.width) / _MOST_PIXELS, 1.0)
    number = choose_level(image, wanted)
    level = image.levels[number]
    height = max(1, round(image.height / wanted))
    width = max(1, round(image.width / wanted))
    out = np.empty((height, width, 3), dtype=np.uint8)
    rows = np.linspace(0, level.height, height + 1)
    step = max(1, int(_BAND_ROWS * height / level.height))
    for first in range(0, height, step):
        last = min(first + step, height)
        top, bottom = int(np.floor(rows[first])), min(int(np.ceil(rows[last])), level.height)
        band = Image.fromarray(image.read(top, 0, bottom, level.width, level=number))
        box = (0.0, rows[first] - top, float(level.width), rows[last] - top)
        out[first:last] = np.asarray(band.resize((width, last - first), Image.Resampling.BOX, box=box))
    return out, np.array([image.width / width, image.height / height])


def _without_small(mask: NDArray[np.bool_], smallest: float) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    keep = np.bincount(labels.ravel()) >= smallest
    keep[0] = False
    return np.asarray(keep[labels], dtype=bool)
