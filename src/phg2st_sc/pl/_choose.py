"""Which slide of an object is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._slide import Slide


def choose(slides: Sequence[Slide], name: str | None) -> Slide:
    """The slide of that name; the first one where none is asked for."""
    if name is None:
        return slides[0]
    for slide in slides:
        if slide.name == str(name):
            return slide
    msg = f"No slide named {name!r}; there are: {', '.join(repr(s.name) for s in slides)}."
    raise KeyError(msg)
