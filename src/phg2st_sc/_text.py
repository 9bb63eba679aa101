"""Wording shared by messages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

_SHOWN = 5
_LONGEST = 80


def quoted(names: Iterable[object]) -> str:
    """Return the first few names, quoted and cut where they are long, with an ellipsis where there are more."""
    shown = [f"{name!r:.{_LONGEST}}" for name in islice(names, _SHOWN + 1)]
    return ", ".join([*shown[:_SHOWN], "..."] if len(shown) > _SHOWN else shown)
