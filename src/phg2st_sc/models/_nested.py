"""Settings within settings: what a user names in ``network=`` and ``training=``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any

from .._text import some


def check_nested(
    changes: Mapping[str, Any], config: type[Any], *, argument: str, method: str, hidden: Collection[str] = ()
) -> None:
    """Raise where ``changes`` names what the dataclass ``config`` does not have; ``hidden`` fields are not the user's."""
    known = [one.name for one in fields(config) if one.name not in hidden]
    if unknown := sorted(set(changes) - set(known)):
        msg = f"`{argument}` of method {method!r} has no setting {some(unknown)}; it has: {', '.join(known)}"
        raise ValueError(msg)
