"""What a saved folder may say about a method: its settings, by the types and limits of its class, and its card."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any

from .. import _keys
from .._provenance import FINGERPRINTS
from .._state import unpack
from .._text import quoted
from ._limits import check_numbers

_JSON: dict[type, tuple[str, ...]] = {
    type(None): ("None",),
    bool: ("bool",),
    str: ("str",),
    int: ("int", "float"),
    float: ("float", "int"),
    dict: ("Mapping", "dict"),
    list: ("Sequence", "Iterable", "tuple", "list"),
}
"""How annotations call what JSON has."""
_LONGEST = 1000
_CARD: dict[str, Any] = {
    "slides": list[str] | None,
    "patients": list[str] | None,
    "n_spots": int | None,
    "seed": int | None,
    "versions": dict[str, str] | None,
    FINGERPRINTS: list[str] | None,
    _keys.FEATURES: dict[str, Any] | None,
    _keys.READING: dict[str, Any] | None,
    _keys.TARGET_SUM: Annotated[float, "> 0"] | None,
    _keys.HYPERGRAPH_KEY: str | None,
    _keys.GENE_COUNTS: list[int] | None,
    _keys.N_COUNTS: Annotated[int, ">= 0"] | None,
}
"""What the package itself reads in a card; a method may say more."""


def check_settings(method: type[Any], settings: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` or ``TypeError`` where settings are not those of a method; the error names the setting."""
    kinds = inspect.signature(method.__init__).parameters
    known = method.parameter_names()
    if unknown := sorted(set(settings) - set(known)):
        msg = f"Method {method.name!r} has no setting {quoted(unknown)}."
        raise ValueError(msg)
    for name, value in settings.items():
        options = [option.strip() for option in str(kinds[name].annotation).split("|")] if name in kinds else []
        wanted = [option for option in options if any(option.startswith(k) for names in _JSON.values() for k in names)]
        fits = any(option.startswith(kind) for option in wanted for kind in _JSON[type(value)])
        if (wanted and not fits) or (isinstance(value, str) and len(value) > _LONGEST):
            msg = f"Its setting {name!r} is {value!r:.80}, and {' or '.join(wanted)} is what it takes."
            raise TypeError(msg)
    check_numbers(method, settings)


def check_card(card: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` where a card says something of the wrong kind in one of the places that are read."""
    known = {name: kind for name, kind in _CARD.items() if name in card}
    try:
        unpack(known, {name: _as_list(card[name]) for name in known}, {})
    except ValueError as error:
        msg = f"Of the card, {error}"
        raise ValueError(msg) from None
    for name, value in (card.get(_keys.READING) or {}).items():
        if isinstance(value, (dict, list)):
            msg = f"Of the card, {f'{_keys.READING}.{name}'!r} is {value!r:.80}, which is no plain value."
            raise ValueError(msg)


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def check_kept(settings: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Raise where a text among the settings is not one that is kept of them, such as a folder of some machine."""
    odd = [name for name, value in settings.items() if isinstance(value, str) and kept.get(name) != value]
    if odd:
        msg = f"Its setting {odd[0]!r} is {settings[odd[0]]!r:.80}: a saved model names no folder or file of a machine."
        raise ValueError(msg)
