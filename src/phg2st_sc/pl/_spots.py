"""Spots over the picture of the tissue: what all maps share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._reading import Reading
from .._slide import THUMBNAILS, Slide, is_spatialdata
from ._choose import choose
from ._style import NOTHING
from ._tiles import Box, thumbnail

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import EllipseCollection

_SPOT = 1.0
"""Diameter of a drawn spot in pitches: larger than a spot of Visium is, so that its color is seen in a small map."""
_FADED = 0.5
"""Of the picture: at full strength its purple is one of the colors of the spots."""
_MARGIN = 1.0
"""Pitches around the outermost spots."""
_MAX_PX = 1200
_MANY = 3000
"""Spots from which on they are pixels in a vector file."""
_BAR = 0.3
"""Longest scale bar, as a share of the width of the map."""


@dataclass(frozen=True, eq=False)
class Tissue:
    """A slide to draw on, and the picture under its spots.

    Attributes
    ----------
    slide
        The slide.
    picture
        (height, width, 3) of the whole picture or of the part around the spots; ``None`` where there is none.
    box
        What it covers, (x0, y0, x1, y1) in the pixels of the spot centres.
    """

    slide: Slide
    picture: NDArray[Any] | None
    box: Box

    @classmethod
    def of(cls, data: Any, reading: Reading, name: str | None, *, image: bool) -> Tissue:
        """One slide of an object, and its picture where that is asked for and there."""
        slide = choose(reading.slides(data), name)
        picture, box = _picture(data, slide) if image else (None, _view(slide))
        return cls(slide, picture, box)

    @property
    def view(self) -> Box:
        """What is drawn: the spots, and a little around them."""
        return _view(self.slide)

    @property
    def aspect(self) -> float:
        """Height of a map over its width."""
        x0, y0, x1, y1 = self.view
        return (y1 - y0) / (x1 - x0)

    def draw(self, ax: Axes) -> None:
        """Draw the picture, and make the axes a map: no ticks, no frame, y downwards."""
        x0, y0, x1, y1 = self.view
        if self.picture is not None:
            left, top, right, bottom = self.box
            ax.imshow(self.picture, extent=(left, right, bottom, top), interpolation="antialiased", alpha=_FADED)
        ax.set(xlim=(x0, x1), ylim=(y1, y0), aspect="equal", xticks=[], yticks=[])
        ax.spines[:].set_visible(False)

    def spots(self, ax: Axes, which: NDArray[np.bool_] | None = None, *, size: float = 1.0, **style: Any) -> Any:
        """Draw some of the spots, or all, as circles of a width that is a part of the way to the next one.

        Parameters
        ----------
        ax
            Where to.
        which
            (n,) bool.
        size
            Factor on the width.
        **style
            What :class:`matplotlib.collections.EllipseCollection` takes.
        """
        from matplotlib.collections import EllipseCollection

        at = self.slide.positions if which is None else self.slide.positions[which]
        width = np.full(len(at), size * _SPOT * self.slide.pitch_px)
        style = {"linewidths": 0, "rasterized": len(at) > _MANY, **style}
        circles = EllipseCollection(
            width, width, np.zeros(len(at)), units="xy", offsets=at, offset_transform=ax.transData, **style
        )
        ax.add_collection(circles, autolim=False)
        return circles

    def colored(
        self,
        ax: Axes,
        which: NDArray[np.bool_],
        values: NDArray[Any],
        *,
        cmap: Any,
        limits: tuple[float, float],
        **style: Any,
    ) -> EllipseCollection:
        """Draw some of the spots in colors of their values; gray where there is none."""
        from matplotlib import colormaps
        from matplotlib.colors import Normalize

        colors = colormaps[cmap] if isinstance(cmap, str) else cmap
        circles = self.spots(ax, which, cmap=colors.with_extremes(bad=NOTHING), norm=Normalize(*limits), **style)
        circles.set_array(np.ma.masked_invalid(values))
        return circles

    def scale_bar(self, ax: Axes) -> None:
        """Draw a length in round numbers below the map, where µm per pixel are known."""
        if self.slide.mpp is None:
            return
        x0, _, x1, _ = self.view
        um = _round_down(_BAR * (x1 - x0) * self.slide.mpp)
        words = f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"
        where = ax.get_xaxis_transform()
        ax.plot(
            [x0, x0 + um / self.slide.mpp], [-0.04, -0.04], color="black", linewidth=1.5, transform=where, clip_on=False
        )
        ax.text(x0 + um / self.slide.mpp, -0.04, f" {words}", transform=where, ha="left", va="center", fontsize="small")


def _view(slide: Slide) -> Box:
    pad = _MARGIN * slide.pitch_px
    x0, y0 = slide.positions.min(axis=0) - pad
    x1, y1 = slide.positions.max(axis=0) + pad
    return float(x0), float(y0), float(x1), float(y1)


def _picture(data: Any, slide: Slide) -> tuple[NDArray[Any] | None, Box]:
    """The picture under the spots, and what it covers."""
    if is_spatialdata(data):
        return _of_element(slide)
    images, scales = slide.record.get(_keys.IMAGES) or {}, slide.record.get(_keys.SCALEFACTORS) or {}
    for name in THUMBNAILS:
        if name in images and scales.get(_keys.scalef(name)):
            pixels = np.asarray(images[name])
            step = slide.unit_px / float(scales[_keys.scalef(name)])
            return pixels, (0.0, 0.0, pixels.shape[1] * step, pixels.shape[0] * step)
    return None, _view(slide)


def _of_element(slide: Slide) -> tuple[NDArray[Any] | None, Box]:
    view = _view(slide)
    if slide.image_source is None:
        return None, view
    opened = slide.open_image()
    try:
        box = max(0.0, view[0]), max(0.0, view[1]), min(opened.width, view[2]), min(opened.height, view[3])
        return thumbnail(opened, box, _MAX_PX) if box[0] < box[2] and box[1] < box[3] else (None, view)
    finally:
        opened.close()


def _round_down(length: float) -> float:
    """The largest of 1, 2, 5, 10, 20, ... that is not above a length."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))
