"""Do the spots lie on tissue? A check that reads little, and tells swapped coordinates that stay inside the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .._text import quoted
from .._warn import warn_of_each, warn_user
from ._base import SlideImage
from ._black import is_padding
from ._padding import on_padding
from ._read_tile import choose_level, read_tile
from ._tiles import Tiles, inside_image

_FIRST_PROBES, _PROBES = 40, 200
_PROBE_PX = 16
_TISSUE_DENSITY = 0.12
_SWAP_GAIN = 0.15
_FEW, _MOST = 0.5, 0.9
_FEWEST_PROBES = 10


def check_tissue(
    positions: NDArray[np.float64], size_px: float, image: SlideImage, *, slide: str, names: Sequence[str] | None = None
) -> bool:
    """Refuse centres when clearly more of them hit tissue with x and y swapped; warn when few hit any.

    Warn too when any lies on black or transparent padding, which is no tissue, where a look at some of them finds padding.

    Parameters
    ----------
    positions
        (n, 2) spot centres (x, y) in pixels.
    size_px
        Side of a tile in pixels.
    image
        An opened image.
    slide
        Name of the slide, for messages.
    names
        (n,) names of the spots, for messages.

    Returns
    -------
    Whether all centres were looked at.
    """
    for most in (_FIRST_PROBES, _PROBES):  # where the image has no coarse level, each may cost as many chunks as a tile
        probes = _some(positions, most)
        hit, is_padded = _on_tissue(probes, size_px, image)
        if hit >= _MOST and not is_padded:
            break
    if hit < _MOST and len(probes) >= _FEWEST_PROBES:
        _refuse_swap(probes, hit, size_px, image, slide)
    if is_padded and warn_of_padding(on_padding(positions, size_px, image), slide=slide, names=names):
        return True
    if hit < _FEW:
        rest = (
            "If that is unexpected, the centres belong to another image or another scale of it: look at it with "
            "`pl.tiles(data)`."
        )
        warn_of_each(
            f"Slide {slide!r}: only {hit:.0%} of the spots lie on stained tissue. {rest}",
            each=f"{slide!r} ({hit:.0%})",
            several=f"Of slides {{which}} only the part in brackets of the spots lies on stained tissue. {rest}",
        )
    return is_padded or len(probes) == len(positions)


def _some(positions: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """Some positions from all over the slide."""
    rows = np.unique(np.linspace(0, len(positions) - 1, min(len(positions), most)).astype(np.int64))
    return positions[np.lexsort((positions[:, 0], positions[:, 1]))[rows]]


def warn_of_padding(is_padded: NDArray[np.bool_], *, slide: str, names: Sequence[str] | None = None) -> bool:
    """Name the spots on padding, and tell whether there are any."""
    padded = np.flatnonzero(is_padded)
    if len(padded):
        which = quoted(padded.tolist() if names is None else [str(names[i]) for i in padded.tolist()])
        warn_user(
            f"Slide {slide!r}: the centres of {len(padded)} of {len(is_padded)} spots lie on black or transparent padding of "
            f"the image, which is no tissue: {which}. Their features say nothing about them. Leave these spots out, or look "
            "with `pl.tiles(data)` whether the centres belong to this image."
        )
    return len(padded) > 0


def _refuse_swap(probes: NDArray[np.float64], hit: float, size_px: float, image: SlideImage, slide: str) -> None:
    swapped = probes[:, ::-1]
    if not inside_image(swapped, image).all():
        return
    better, _ = _on_tissue(swapped, size_px, image)
    if better >= _FEW and better >= hit + _SWAP_GAIN:
        msg = (
            f"Slide {slide!r}: {hit:.0%} of the spots lie on tissue, but {better:.0%} do with x and y swapped: "
            "`obsm['spatial']` must hold (x, y). Look at it with `pl.tiles(data)`."
        )
        raise ValueError(msg)


def _on_tissue(centers: NDArray[np.float64], size_px: float, image: SlideImage) -> tuple[float, bool]:
    """Fraction of tiles whose mean optical density, padding aside, is that of stained tissue; and whether any shows padding."""
    tiles = Tiles(centers, size_px)
    level = choose_level(image, size_px / _PROBE_PX)
    boxes = tiles.boxes / image.levels[level].downsample
    seen = np.stack([read_tile(image, box, _PROBE_PX, level=level) for box in boxes])
    density = -np.log10((np.array([_mean_of_picture(tile) for tile in seen]) + 1.0) / 256.0)
    is_padded = bool(is_padding(seen).any()) or bool(getattr(image, "has_transparent", False))
    return float(np.mean(density > _TISSUE_DENSITY)), is_padded


def _mean_of_picture(tile: NDArray[np.uint8]) -> float:
    """Mean over what is no padding; that of glass where all is."""
    padding = is_padding(tile)
    if not padding.any():
        return float(tile.mean())
    return 255.0 if padding.mean() > _FEW else float(tile[~padding].mean())
