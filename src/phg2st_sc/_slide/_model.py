"""The view of one slide that everything else works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from .._warn import warn_user
from ._lattice import PitchSource
from ._opened import StoredPicture

if TYPE_CHECKING:
    from anndata import AnnData

    from .._image import SlideImage

THUMBNAILS = (_keys.HIRES, _keys.LOWRES)


@dataclass(eq=False)
class Slide:
    """One slide of an AnnData or SpatialData. It holds references; nothing is copied.

    Attributes
    ----------
    name
        Value of ``slide_key``, region, or library of the slide.
    table
        The annotating table with all its rows, those of other slides included.
    rows
        (n,) int64, rows of ``table`` that belong to this slide, ascending.
    positions
        (n, 2) float64, spot centres (x, y) in pixels of the slide's image: full-resolution pixels of an AnnData, or
        pixels of the image element of a SpatialData (units of the coordinate system where it has none).
    spot_diameter_px
        Diameter of a spot in the same pixels, where known.
    patient
        Patient the slide comes from, where known.
    pitch_px
        Distance of neighbouring spots in the same pixels, the unit of distances; NaN with fewer than two spots.
    pitch_source
        Whether that is the pitch of a ``"lattice"``, the typical ``"spacing"`` of points that lie on none, or was told
        (``"argument"``).
    unit_px
        Pixels per unit of the spot centres as they are stored.
    mpp, mpp_source
        µm per pixel, and whether it comes from ``"argument"``, ``"metadata"``, ``"pitch_um"`` or ``"platform"``; ``None``
        where unknown.
    mpp_doubt
        What contradicts ``mpp``; :meth:`require_mpp` warns of it.
    image_source
        What :meth:`open_image` opens by default: a path, an array or an image element.
    image_key
        ``"hires"`` / ``"lowres"``, or the name of the image element that ``positions`` refer to.
    image_problem
        Why there is no ``image_source``.
    image_ambiguous
        Whether that is because there are several.
    image_doubt
        Why another image may be meant; :meth:`open_image` warns of it.
    record
        ``uns["spatial"][library]`` of the slide, empty where there is none.
    other_images
        Names of the other image elements of a SpatialData.
    folders
        Where relative image paths are looked for, after the working directory.
    """

    name: str
    table: AnnData
    rows: NDArray[np.int64]
    positions: NDArray[np.float64]
    spot_diameter_px: float | None
    patient: str | None
    pitch_px: float
    mpp: float | None
    mpp_source: str | None
    mpp_doubt: str = ""
    image_source: Any = None
    image_key: str | None = None
    image_problem: str = ""
    image_ambiguous: bool = False
    image_doubt: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    other_images: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    pitch_source: PitchSource = "lattice"
    unit_px: float = 1.0

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self.rows.shape[0])

    def open_image(self, image: Any = None) -> SlideImage:
        """Open the slide's image without decoding it.

        Parameters
        ----------
        image
            A path, array, ``DataArray`` or image element in whose pixels ``positions`` are, or a mapping of such by
            slide name. ``None`` takes what the slide was opened with, or what its record names.

        Raises
        ------
        KeyError
            If there is no image.
        FileNotFoundError
            If the image file is not there.
        ValueError
            If ``image`` names a thumbnail or an element in whose pixels ``positions`` are not.
        """
        return self.picture(image).open()

    def picture(self, image: Any = None) -> StoredPicture:
        """What :meth:`open_image` opens, without the slide around it."""
        source = self.image_source if image is None else pick_image(image, self.name)
        if source is None:
            raise KeyError(self.image_problem or self._no_image())
        if self.image_doubt and source is self.image_source:
            warn_user(self.image_doubt)
        if isinstance(source, str) and source == self.image_key:
            source = self.image_source
        elif isinstance(source, str) and source in (*THUMBNAILS, *self.other_images):
            msg = (
                f"Slide {self.name!r}: its positions are in pixels of {self.image_key or 'the full-resolution image'!r}, "
                f"not of {source!r}. Pass `image={source!r}` where the slide is opened."
            )
            raise ValueError(msg)
        if isinstance(source, (str, Path)):
            source = find_file(source, self.folders)
        return StoredPicture(self.name, self.image_name if source is self.image_source else name_of(source), source)

    @property
    def image_name(self) -> str:
        """Which picture it is, as far as it has a name: the path, the element or the thumbnail."""
        return name_of(self.image_source) if self.image_key is None else self.image_key

    def _no_image(self) -> str:
        return (
            f"Slide {self.name!r} has no image: its record in uns['spatial'] names no {_keys.SOURCE_IMAGE!r}. "
            "Pass `image=` with the path of the full-resolution H&E image."
        )

    def pitch_positions(self) -> NDArray[np.float64]:
        """Spot centres in lattice pitches, so that neighbours are about 1 apart on every platform."""
        if not np.isfinite(self.pitch_px):
            msg = f"Slide {self.name!r} has {self.n_spots} spot(s) with distinct finite centres; at least 2 are needed."
            raise ValueError(msg)
        return self.positions / self.pitch_px

    @property
    def pitch(self) -> float:
        """Distance of neighbouring spots in the unit of their centres, as ``pitch=`` takes it."""
        return self.pitch_px / self.unit_px

    def require_mpp(self) -> float:
        """Return µm per pixel, with a warning where something contradicts it.

        Raises
        ------
        ValueError
            If it is unknown; the message names the arguments that give it.
        """
        if self.mpp is None:
            msg = (
                f"Slide {self.name!r}: the size of a pixel is unknown, and is never guessed. Pass `mpp=` (µm per pixel"
                f"{self._of_element()}), or `pitch_um=` (distance of neighbouring spots in µm)"
                f"{self._by_platform()}{self._place_of_mpp()}."
            )
            raise ValueError(msg)
        if self.mpp_doubt:
            warn_user(self.mpp_doubt)
        return self.mpp

    def _of_element(self) -> str:
        return f" of image {self.image_key!r}" if in_spatialdata(self.table) and self.image_key else ""

    def _by_platform(self) -> str:
        if self.pitch_source == "spacing":
            return " (these lie on no lattice, so that no platform tells it)"
        return ", or `platform=` ('ST', 'Visium', ...)"

    def _place_of_mpp(self) -> str:
        if in_spatialdata(self.table):
            return ""
        return f", or store it in uns['spatial'][library]['metadata'][{_keys.MPP!r}]"


def name_of(source: Any) -> str:
    """Name of a picture: its path, what :func:`phg2st_sc.io.open_image` calls it, or what kind of object it is."""
    if isinstance(source, (str, Path)):
        return str(source)
    opened = getattr(source, "where", None)  # a method of other arrays
    return opened if isinstance(opened, str) else type(source).__name__


def in_spatialdata(table: AnnData) -> bool:
    """Whether the table annotates elements of a SpatialData."""
    return _keys.SPATIALDATA_ATTRS in table.uns


def is_by_slide(image: Any) -> bool:
    """Whether images were given by slide name; a multiscale image (DataTree) is a Mapping too."""
    return isinstance(image, Mapping) and not type(image).__module__.startswith("xarray")


def pick_image(image: Any, name: str) -> Any:
    """Return the image of one slide, where several were given by slide name; a name may be given as a number."""
    if not is_by_slide(image):
        return _of_library(image, name)
    keys = [key for key in image if key == name] or [key for key in image if str(key) == name]
    if not keys:
        msg = f"`image=` has no entry for slide {name!r}, only for {quoted(image)}."
        raise KeyError(msg)
    return _of_library(image[keys[0]], name)


def _of_library(image: Any, name: str) -> Any:
    """Return a slide's plane of a squidpy ImageContainer that holds several libraries."""
    if type(image).__name__ != "ImageContainer":
        return image
    libraries = [str(library) for library in image.library_ids]
    if len(libraries) < 2:
        return image.data
    if name not in libraries:
        msg = f"`image=` has no library for slide {name!r}, only for {quoted(libraries)}."
        raise KeyError(msg)
    return image.data.isel(z=libraries.index(name))


def find_file(path: str | Path, folders: tuple[Path, ...]) -> Path:
    """Resolve a relative path against the working directory, then against the folders of the data."""
    path = Path(path).expanduser()
    if path.is_absolute() or path.exists():
        return path
    return next((folder / path for folder in folders if (folder / path).exists()), path)
