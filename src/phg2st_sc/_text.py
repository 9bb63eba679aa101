"""Wording shared by messages."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

_SHOWN = 5


def quoted(names: Iterable[object]) -> str:
    """Return the first few names, quoted, with an ellipsis where there are more."""
    shown = [repr(name) for name in islice(names, _SHOWN + 1)]
    return ", ".join([*shown[:_SHOWN], "..."] if len(shown) > _SHOWN else shown)
