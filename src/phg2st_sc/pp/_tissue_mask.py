"""Where an image shows tissue, read at low resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .._image import choose_level, is_padding
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
_OF_PALEST_SPOTS = 0.8
_LEAST_OF_OTSU = 0.5
_FINE, _AROUND = 2.0, 2.0
_OF_SMOOTHEST_SPOTS = 0.5


def tissue_mask(image: SlideImage, positions: NDArray[np.float64], pitch: float) -> Raster:
    """Tissue, as a raster of about an eighth of a pitch.

    Stain above Otsu's threshold, lowered where the measured spots are paler, with at least half the texture of the smoothest
    spots: eosin that has run out around a section is as pink as its stroma, but smooth. Closed, and without islands and holes
    below four squared pitches. Black padding is no tissue.

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
    padding = is_padding(thumbnail)
    thumbnail[padding] = 0  # compression gives black padding some colour
    stain = ndimage.gaussian_filter(_stain(thumbnail), _SMOOTH)
    texture = _texture(thumbnail)
    col, row = np.clip((positions / pixel).astype(np.int64), 0, np.array(stain.shape)[::-1] - 1).T
    on_picture = ~padding[row, col]
    if on_picture.any():
        col, row = col[on_picture], row[on_picture]
    otsu = float(threshold_otsu(stain)) if np.ptp(stain) > 0 else float(stain[0, 0]) - 1.0
    paler = _OF_PALEST_SPOTS * float(np.percentile(stain[row, col], _ON_TISSUE_PERCENTILE))
    smooth = _OF_SMOOTHEST_SPOTS * float(np.percentile(texture[row, col], _ON_TISSUE_PERCENTILE))
    mask = (stain >= max(min(otsu, paler), _LEAST_OF_OTSU * otsu)) & (texture >= smooth)
    per_pitch = pitch / float(pixel.mean())
    reach = max(1, round(_CLOSE_PITCHES * per_pitch))
    mask = closing(np.pad(mask, reach, mode="edge"), disk(reach))[reach:-reach, reach:-reach] & ~padding
    smallest = _SMALL_PITCHES * per_pitch**2
    mask = ~_without_small(~mask, smallest)
    return Raster(_without_small(mask, smallest), np.zeros(2), pixel)


def _stain(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Geometric mean of colourfulness and of the green that is missing, which both stains absorb.

    Glass has neither, and background that was masked black has no colour.
    """
    wide = picture.astype(np.float32)
    return np.asarray(np.sqrt((wide.max(axis=2) - wide.min(axis=2)) * (255.0 - wide[:, :, 1])), dtype=np.float32)


def _texture(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Local standard deviation of the fine structure of green."""
    from scipy import ndimage

    green = picture[:, :, 1].astype(np.float32)
    fine = green - ndimage.gaussian_filter(green, _FINE)
    return np.asarray(np.sqrt(ndimage.gaussian_filter(np.square(fine), _AROUND)), dtype=np.float32)


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
