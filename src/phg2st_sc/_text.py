"""Wording shared by messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

_SHOWN = 5
_LONGEST = 80


def plain(name: str) -> str:
    """Return a name for a message: quoted where it is more than printable text, and cut where it is long."""
    return name if name.isprintable() and len(name) <= _LONGEST else f"{name!r:.{_LONGEST}}"


def quoted(names: Iterable[object]) -> str:
    """Return the first few names, quoted and cut where they are long, with an ellipsis where there are more."""
    shown = [f"{name!r:.{_LONGEST}}" for name in islice(names, _SHOWN + 1)]
    return ", ".join([*shown[:_SHOWN], "..."] if len(shown) > _SHOWN else shown)


def meant(name: str, names: Iterable[str], *, write: str = "{!r}") -> str:
    """`` Did you mean ...?`` with the name that is most like a given one; empty where none is.

    Parameters
    ----------
    name
        What was written.
    names
        What there is.
    write
        How what is meant is written, e.g. ``"`metric={!r}`"``.
    """
    lowered = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f" Did you mean {write.format(lowered[close[0]])}?" if close else ""
