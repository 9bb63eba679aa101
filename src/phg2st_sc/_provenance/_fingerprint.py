"""Tell whether a model was trained on a slide, from the prompts of the slide alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

_LENGTH = 8
_KEPT = 128
_SHORT = 4
_LEAST_SHORT = 2
"""Spots that must be there before short hashes are believed: one in 500 spots of another slide is taken for one of 128."""
FINGERPRINTS = "fingerprints"
"""In the card of a model: one string for each of its slides."""
SHORTENED = "shortened_fingerprints"
"""In the card of a prior."""


def fingerprint(names: Iterable[object], totals: Iterable[float]) -> str:
    """Hashes of the spots of a slide, by name and total count: the smallest 128, one after the other.

    Any of its spots with a hash up to the largest kept is among them, so that some spots are enough to know the slide.
    """
    return "".join(sorted(_hash(name, total) for name, total in zip(names, totals, strict=True))[:_KEPT])


def shortened(kept: str) -> str:
    """A fingerprint that does not tell what was counted: 16 bits of each hash, which many names and counts share.

    Before these stands the largest hash, rounded up; spots with a larger one are not among them.
    """
    hashes = _split(kept, _LENGTH)
    return _upto(hashes)[:_SHORT].ljust(_LENGTH, "f") + "".join(sorted(map(_short, hashes)))


def trained_on(card: Mapping[str, Any], names: Iterable[object], totals: Iterable[float]) -> str:
    """Name of the training slide that these spots belong to; empty where they belong to none, or too few are given.

    Of a prior, which knows no names, the number of the section.
    """
    hashes = [_hash(name, total) for name, total in zip(names, totals, strict=True)]
    known: Sequence[str] = card.get(FINGERPRINTS) or ()
    for slide, kept in zip(card.get("slides") or (), known, strict=False):
        seen = _split(kept, _LENGTH)
        if _hits(hashes, seen, _upto(seen)):
            return str(slide)
    for number, section in enumerate(card.get(SHORTENED) or (), start=1):
        upto, seen = section[:_LENGTH], _split(section[_LENGTH:], _SHORT)
        there = [_short(one) for one in hashes if one <= upto]
        if len(there) >= _LEAST_SHORT and _hits(there, seen, ""):
            return f"section {number}"
    return ""


def _hits(hashes: Sequence[str], seen: set[str], upto: str) -> bool:
    candidates = [one for one in hashes if one <= upto] if upto else hashes
    return bool(candidates) and sum(one in seen for one in candidates) > len(candidates) / 2


def _upto(hashes: set[str]) -> str:
    """The largest that would have been kept; of a slide with few spots all are."""
    return "f" * _LENGTH if len(hashes) < _KEPT else max(hashes)


def _split(kept: str, length: int) -> set[str]:
    return {kept[start : start + length] for start in range(0, len(kept), length)}


def _short(told: str) -> str:
    return sha256(f"prior\x00{told}".encode()).hexdigest()[:_SHORT]


def _hash(name: object, total: float) -> str:
    return sha256(f"{name}\x00{round(float(total))}".encode()).hexdigest()[:_LENGTH]
