"""Files: images that need more said than their path, stores that a killed write left."""

from __future__ import annotations

from .._image import open_image
from .._slide import StoreLockedError
from ._recover import recover

__all__ = ["StoreLockedError", "open_image", "recover"]
