"""Pictures: tiles over the image."""

from __future__ import annotations

from ._tiles import tiles

__all__ = ["tiles"]
