"""Do the spots lie on tissue? A check that reads little, and tells swapped coordinates that stay inside the image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._warn import warn_user
from ._base import SlideImage
from ._tiles import Tiles, choose_level, inside_image, read_tile

_PROBES = 200
_PROBE_PX = 16
_TISSUE_DENSITY = 0.12
_SWAP_GAIN = 0.15
_FEW, _MOST = 0.5, 0.9
_FEWEST_PROBES = 10


def check_tissue(positions: NDArray[np.float64], size_px: float, image: SlideImage, *, slide: str) -> None:
    """Refuse centres when clearly more of them hit tissue with x and y swapped; warn when most lie on blank background."""
    rows = np.unique(np.linspace(0, len(positions) - 1, min(len(positions), _PROBES)).astype(np.int64))
    order = np.lexsort((positions[:, 0], positions[:, 1]))
    probes = positions[order[rows]]
    hit = _on_tissue(probes, size_px, image)
    if hit < _MOST and len(probes) >= _FEWEST_PROBES:
        _refuse_swap(probes, hit, size_px, image, slide)
    if hit >= _FEW:
        return
    msg = (
        f"Slide {slide!r}: only {hit:.0%} of the spots lie on stained tissue. If that is unexpected, the centres belong "
        "to another image or another scale of it: look at it with `pl.tiles(data)`."
    )
    warn_user(msg)


def _refuse_swap(probes: NDArray[np.float64], hit: float, size_px: float, image: SlideImage, slide: str) -> None:
    swapped = probes[:, ::-1]
    if not inside_image(swapped, image).all():
        return
    better = _on_tissue(swapped, size_px, image)
    if better >= _FEW and better >= hit + _SWAP_GAIN:
        msg = (
            f"Slide {slide!r}: {hit:.0%} of the spots lie on tissue, but {better:.0%} do with x and y swapped: "
            "`obsm['spatial']` must hold (x, y). Look at it with `pl.tiles(data)`."
        )
        raise ValueError(msg)


def _on_tissue(centers: NDArray[np.float64], size_px: float, image: SlideImage) -> float:
    """Fraction of tiles whose mean optical density is that of stained tissue."""
    tiles = Tiles(centers, size_px)
    level = choose_level(image, size_px / _PROBE_PX)
    boxes = tiles.boxes / image.levels[level].downsample
    mean = np.array([read_tile(image, box, _PROBE_PX, level=level).mean() for box in boxes])
    density = -np.log10((mean + 1.0) / 256.0)
    return float(np.mean(density > _TISSUE_DENSITY))
