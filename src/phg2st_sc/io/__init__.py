"""Files: images that need more said than their path."""

from __future__ import annotations

from .._image import open_image

__all__ = ["open_image"]
