"""Which species gene names are of."""

from __future__ import annotations

import re
from collections.abc import Iterable

HUMAN, MOUSE = "human", "mouse"
OTHER = "another species"
_IDS = {HUMAN: re.compile(r"ENSG\d"), MOUSE: re.compile(r"ENSMUSG\d")}
_ANY_ID = re.compile(r"ENS[A-Z]*G\d")
_WORD = re.compile(r"[A-Za-z]{2}")
_MOUSE = re.compile(r"[A-Z][a-z]|mt-")
_MOST = 0.7
"""Share of the names that must look so."""


def species_of(names: Iterable[object]) -> str:
    """``"human"`` or ``"mouse"`` by Ensembl ids, or by how symbols are written; empty where neither is plain.

    Symbols of human genes are in capitals (``ACTB``), those of mice in small letters after the first (``Actb``). Rats write theirs as mice do.

    Parameters
    ----------
    names
        Of genes.

    Examples
    --------
    >>> species_of(["Actb", "Gapdh", "mt-Nd1"])
    'mouse'
    """
    told = [str(name) for name in names]
    ids = [name for name in told if _ANY_ID.match(name)]
    if ids:
        told = ids
        kinds = {kind: sum(bool(pattern.match(name)) for name in ids) for kind, pattern in _IDS.items()}
    else:
        told = [name for name in told if _WORD.match(name)]
        capitals = sum(name[:3].isupper() for name in told)  # C1orf112 among them
        kinds = {HUMAN: capitals, MOUSE: sum(bool(_MOUSE.match(name)) for name in told)}
    best = max(kinds, key=lambda kind: kinds[kind])
    return best if told and kinds[best] >= _MOST * len(told) else ""


def species_or_other(names: Iterable[object]) -> str:
    """The same, and :data:`OTHER` where most are Ensembl ids of neither.

    Examples
    --------
    >>> species_or_other(["ENSSSCG00000000002", "ENSSSCG00000000003"])
    'another species'
    """
    told = [str(name) for name in names]
    ids = sum(bool(_ANY_ID.match(name)) for name in told)
    return species_of(told) or (OTHER if told and ids >= _MOST * len(told) else "")
