"""An opened picture that knows what it is called: whatever goes wrong while it is read says which one it was."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._transforms import levels_in_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from .._image import ImageLevel, SlideImage


class NamedImage:
    """An opened image under a name.

    Parameters
    ----------
    image
        What is read.
    slide, name
        Of the slide and of the picture, for messages.
    is_own
        Whether it was opened here, and is closed here.
    """

    def __init__(self, image: SlideImage, slide: str, name: str, *, is_own: bool) -> None:
        self._image = image
        self._slide, self._name = slide, name
        self._is_own = is_own

    @property
    def levels(self) -> tuple[ImageLevel, ...]:
        """Levels from the finest to the coarsest."""
        return self._image.levels

    @property
    def height(self) -> int:
        """Height of the base level in pixels."""
        return self._image.height

    @property
    def width(self) -> int:
        """Width of the base level in pixels."""
        return self._image.width

    @property
    def mpp(self) -> float | None:
        """µm per pixel of the base level where the file says so."""
        return self._image.mpp

    @property
    def has_transparent(self) -> bool:
        """Whether transparent pixels were among those that were read."""
        return bool(getattr(self._image, "has_transparent", False))

    def read(self, y0: int, x0: int, y1: int, x1: int, *, level: int = 0) -> NDArray[np.uint8]:
        """Return a box of a level; see :class:`phg2st_sc._image.SlideImage`."""
        with naming(self._slide, self._name):
            return self._image.read(y0, x0, y1, x1, level=level)

    def close(self) -> None:
        """Release what was opened; an image that the user opened stays open."""
        if self._is_own:
            self._image.close()


@contextmanager
def naming(slide: str, image: str) -> Iterator[None]:
    """Give errors the name of the picture, where they do not hold it yet.

    They stay of their kind where it is one that the package raises; all else that files are answered with is a ``ValueError``.
    """
    try:
        yield
    except Exception as error:
        text = str(error.args[0] if len(error.args) == 1 else error) or type(error).__name__
        if image in text:
            raise
        kind = type(error) if type(error) in (ValueError, TypeError, MemoryError) else ValueError
        raise kind(f"Slide {slide!r}, image {image!r}: {text}") from error


@dataclass(frozen=True, eq=False)
class StoredPicture:
    """Where the picture of a slide is.

    Attributes
    ----------
    slide, name
        Of the slide and of the picture, for messages.
    source
        A path, an array, an image element or an image that is open.
    """

    slide: str
    name: str
    source: Any

    def open(self) -> NamedImage:
        """Open it without decoding it."""
        from .._image import open_named

        with naming(self.slide, self.name):
            opened = open_named(levels_in_place(self.source), f"Slide {self.slide!r}, image {self.name!r}")
        return NamedImage(opened, self.slide, self.name, is_own=opened is not self.source)

    def anywhere(self) -> StoredPicture:
        """The same for a process with another working directory."""
        return replace(self, source=self.source.absolute()) if isinstance(self.source, Path) else self
