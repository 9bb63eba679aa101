"""JSON that somebody else may have written: bounded before it is read, and plain after."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

_MOST_BYTES = 1 << 25
_MOST_ENTRIES = 2_000_000
_DEEPEST = 40
_LONGEST_NUMBER = 1e300


def parse_json(content: bytes) -> Any:
    """Value of a JSON text.

    Raises
    ------
    ValueError
        If it is none, is larger or deeper than anything that this package writes, or has a name twice.
    """
    if len(content) > _MOST_BYTES or content.count(b",") > _MOST_ENTRIES:
        msg = f"it has {len(content):,} bytes and {content.count(b','):,} entries, far more than is ever written"
        raise ValueError(msg)
    try:
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("it is nested deeper than anything that is ever written") from None
    for depth, _ in _nodes(value):
        if depth > _DEEPEST:
            raise ValueError("it is nested deeper than anything that is ever written")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"it has the name {twice!r:.80} twice"
        raise ValueError(msg)
    return named


def _nodes(value: Any) -> Iterator[tuple[int, Any]]:
    """Everything in a tree of JSON with its depth; a loop, as a deep tree would end a recursion."""
    waiting = [(0, value)]
    while waiting:
        depth, one = waiting.pop()
        yield depth, one
        if isinstance(one, (dict, list)):
            waiting += [(depth + 1, child) for child in (one.values() if isinstance(one, dict) else one)]


def has_odd_number(value: Any) -> bool:
    """Whether a number in a tree of JSON is NaN, infinite, or too large for arithmetic."""
    numbers = (one for _, one in _nodes(value) if isinstance(one, (int, float)))
    return any(not math.isfinite(one) if isinstance(one, float) else abs(one) > _LONGEST_NUMBER for one in numbers)


def without_odd_numbers(value: Any) -> Any:
    """The same tree, with ``None`` in place of such numbers: what is not known."""
    if isinstance(value, dict):
        return {name: without_odd_numbers(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_odd_numbers(one) for one in value]
    return None if isinstance(value, (int, float)) and has_odd_number(value) else value


def content_hash(value: Any) -> str:
    """Hash of what a tree of JSON says, however it is spaced and ordered."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
