"""Tell whether a model was trained on a slide, from the prompts of the slide alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

_LENGTH = 8
_KEPT = 128
FINGERPRINTS = "fingerprints"
"""In the card of a model: one string for each of its slides."""


def fingerprint(names: Iterable[object], totals: Iterable[float]) -> str:
    """Hashes of the spots of a slide, by name and total count: the smallest 128, one after the other.

    Any of its spots with a hash up to the largest kept is among them, so that some spots are enough to know the slide.
    """
    return "".join(sorted(_hash(name, total) for name, total in zip(names, totals, strict=True))[:_KEPT])


def trained_on(card: Mapping[str, Any], names: Iterable[object], totals: Iterable[float]) -> str:
    """Name of the training slide that these spots belong to; empty where they belong to none, or too few are given."""
    hashes = [_hash(name, total) for name, total in zip(names, totals, strict=True)]
    known: Sequence[str] = card.get(FINGERPRINTS) or ()
    for slide, kept in zip(card.get("slides") or (), known, strict=False):
        seen = {kept[start : start + _LENGTH] for start in range(0, len(kept), _LENGTH)}
        whole = len(seen) < _KEPT
        candidates = [one for one in hashes if whole or one <= max(seen)]
        if candidates and sum(one in seen for one in candidates) > len(candidates) / 2:
            return str(slide)
    return ""


def _hash(name: object, total: float) -> str:
    return sha256(f"{name}\x00{round(float(total))}".encode()).hexdigest()[:_LENGTH]
