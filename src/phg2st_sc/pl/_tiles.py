"""Tile boxes and spots over the image, so that a misalignment is seen before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._deprecated import renamed_parameters
from .._docs import documented
from .._image import SlideImage, Tiles, choose_level, context_grid, read_padded, tile_pixels
from .._reading import Reading
from .._slide import Slide
from ._choose import choose
from ._save import save_figure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from anndata import AnnData
    from matplotlib.axes import Axes
    from spatialdata import SpatialData

_SPOT_COLOR, _TILE_COLOR, _CONTEXT_COLOR = "#00a0ff", "#ffd000", "#404040"
_MARGIN = 0.02

Box = tuple[float, float, float, float]


@renamed_parameters(table="table_key")
@documented
def tiles(
    data: AnnData | SpatialData,
    *,
    image: Any = None,
    slide: str | None = None,
    mpp: float | None = None,
    pitch_um: float | None = None,
    platform: str | None = None,
    tile_um: float = 112.0,
    context: int | None = None,
    crop: Box | None = None,
    max_px: int = 2000,
    linewidth: float = 0.8,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    ax: Axes | None = None,
    title: str | None = None,
    show: bool = False,
    save: str | Path | None = None,
) -> Axes:
    """Draw the tile of every spot, and the spot, over the image.

    Centres outside the image are drawn too, since a misplaced image is what this picture is for.

    Parameters
    ----------
    {data} {image}
    {slide:drawn}
    {mpp} {pitch_um} {platform} {pitch}
        Where µm per pixel stay unknown, spots are drawn without tiles.
    {tile_um}
    context
        Also draw the shared grid of context tiles, for blocks of this many tiles along a side.
    crop
        Part to draw, (x0, y0, x1, y1) in full-resolution pixels; by default the whole image.
    max_px
        Longest side of the picture that is read, in pixels.
    linewidth
        Width of the outlines in points.
    {slide_key} {table_key} {coordinate_system} {ax} {title}
        Default: the slide's name.
    {show} {save}

    Returns
    -------
    matplotlib.axes.Axes
        In full-resolution pixels, y downwards.

    Raises
    ------
    KeyError
        If there is no image, no spot coordinates, or no slide of that name.

    Notes
    -----
    Reads ``obsm["spatial"]`` and ``uns["spatial"]``; writes nothing.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, progress=False)
    >>> ax = phg2st.pl.tiles(adata, image="hires")
    >>> ax.get_xlabel()
    'x (px)'
    """
    import matplotlib.pyplot as plt

    reading = Reading.among(locals())
    slides = reading.open(data, image=image, mpp=mpp, pitch_um=pitch_um, platform=platform)
    chosen = choose(slides, slide)
    opened = chosen.open_image()
    try:
        if ax is None:
            _, ax = plt.subplots(figsize=(8, 8), layout="constrained")
        view = crop or _whole(chosen.positions, opened)
        _draw_image(ax, opened, view, max_px)
        _draw_spots(ax, chosen, linewidth)
        _draw_tiles(ax, chosen, opened, tile_um, context, linewidth)
    finally:
        opened.close()
    ax.set(xlim=(view[0], view[2]), ylim=(view[3], view[1]), aspect="equal", xlabel="x (px)", ylabel="y (px)")
    ax.set_title(chosen.name if title is None else title)
    figure = ax.get_figure(root=True)
    if save is not None and figure is not None:
        save_figure(figure, save, dpi=200, bbox_inches="tight")
    if show:
        plt.show()
    return ax


def _whole(positions: NDArray[np.float64], image: SlideImage) -> Box:
    """Return the image, widened to take in centres that lie outside it."""
    points = positions[np.isfinite(positions).all(axis=1)]
    x0, y0 = np.minimum(points.min(axis=0, initial=0.0), 0.0)
    x1, y1 = np.maximum(points.max(axis=0, initial=0.0), (image.width, image.height))
    if (x0, y0, x1, y1) == (0.0, 0.0, image.width, image.height):
        return 0.0, 0.0, float(image.width), float(image.height)
    pad = _MARGIN * max(x1 - x0, y1 - y0)
    return float(x0 - pad), float(y0 - pad), float(x1 + pad), float(y1 + pad)


def _draw_image(ax: Axes, image: SlideImage, view: Box, max_px: int) -> None:
    """Show the part of the image within the view, read at the level that fits."""
    x0, y0 = max(0.0, view[0]), max(0.0, view[1])
    x1, y1 = min(float(image.width), view[2]), min(float(image.height), view[3])
    if x0 >= x1 or y0 >= y1:
        return
    pixels, box = thumbnail(image, (x0, y0, x1, y1), max_px)
    ax.imshow(pixels, extent=(box[0], box[2], box[3], box[1]), interpolation="antialiased")


def thumbnail(image: SlideImage, box: Box, max_px: int) -> tuple[NDArray[np.uint8], Box]:
    """Read a part of the image, at most ``max_px`` along its longer side, and the box that it exactly covers."""
    from PIL import Image

    factor = max(1.0, max(box[2] - box[0], box[3] - box[1]) / max_px)
    level = choose_level(image, factor)
    shape = image.levels[level]
    left, top = (int(np.floor(v / shape.downsample)) for v in box[:2])
    right = min(int(np.ceil(box[2] / shape.downsample)), shape.width)
    bottom = min(int(np.ceil(box[3] / shape.downsample)), shape.height)
    pixels = read_padded(image, top, left, bottom, right, level=level)
    shrink = factor / shape.downsample
    size = (max(1, round((right - left) / shrink)), max(1, round((bottom - top) / shrink)))
    if size[0] < pixels.shape[1]:
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    d = shape.downsample
    return pixels, (left * d, top * d, right * d, bottom * d)


def _draw_spots(ax: Axes, slide: Slide, linewidth: float) -> None:
    from matplotlib.collections import EllipseCollection

    if slide.spot_diameter_px is None:
        ax.plot(*slide.positions.T, "+", color=_SPOT_COLOR, markersize=4, label="spots")
        return
    size = np.full(len(slide.positions), slide.spot_diameter_px)
    circles = EllipseCollection(
        size,
        size,
        np.zeros_like(size),
        units="xy",
        offsets=slide.positions,
        offset_transform=ax.transData,
        facecolors="none",
        edgecolors=_SPOT_COLOR,
        linewidths=linewidth,
        label="spots",
    )
    ax.add_collection(circles)


def _draw_tiles(
    ax: Axes, slide: Slide, image: SlideImage, tile_um: float, context: int | None, linewidth: float
) -> None:
    mpp = image.mpp if slide.mpp is None else slide.require_mpp()
    if mpp is None:
        return
    spots = Tiles(slide.positions, tile_pixels(tile_um, mpp))
    if context is not None:
        grid, _ = context_grid(spots.centers, spots.size_px, context, image)
        _draw_boxes(ax, grid, _CONTEXT_COLOR, linewidth / 2, "context tiles")
    _draw_boxes(ax, spots, _TILE_COLOR, linewidth, "tiles")


def _draw_boxes(ax: Axes, tiles: Tiles, color: str, linewidth: float, label: str) -> None:
    from matplotlib.collections import PolyCollection

    x0, y0, x1, y1 = tiles.boxes.T
    corners = np.stack([np.column_stack(c) for c in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))], axis=1)
    boxes = PolyCollection(list(corners), facecolors="none", edgecolors=color, linewidths=linewidth, label=label)
    ax.add_collection(boxes)
