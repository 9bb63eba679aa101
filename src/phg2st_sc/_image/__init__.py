"""Slide images that open without decoding: one protocol over files, arrays and SpatialData elements."""

from __future__ import annotations

from ._base import ImageLevel, SlideImage, is_slide_image
from ._open import open_image

__all__ = ["ImageLevel", "SlideImage", "is_slide_image", "open_image"]
