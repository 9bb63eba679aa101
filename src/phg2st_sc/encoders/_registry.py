"""Which encoders exist, and how a name or a function becomes one."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._base import Encoder, EncoderCard

TileFunction = Callable[[NDArray[np.uint8]], Any]
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_FUNCTION_PX = 224
_FUNCTION_UM = 112.0
_registry: dict[str, tuple[EncoderCard, Callable[[], Encoder]]] = {}


def register_encoder(card: EncoderCard, factory: Callable[[], Encoder]) -> None:
    """Make an encoder known by its card's name.

    Parameters
    ----------
    card
        Facts about the encoder.
    factory
        Opens it; called when it is first needed, so weights and heavy imports belong there.

    Raises
    ------
    ValueError
        If the name is taken, or would be no valid slot name.
    """
    check_name(card.name)
    if card.name in _registry:
        msg = f"An encoder named {card.name!r} is registered already."
        raise ValueError(msg)
    _registry[card.name] = (card, factory)


def list_encoders() -> list[EncoderCard]:
    """Return the cards of all registered encoders, by name.

    Examples
    --------
    >>> "texture" in [card.name for card in list_encoders()]
    True
    """
    return [card for _, (card, _) in sorted(_registry.items())]


def get_encoder(
    encoder: str | Encoder | TileFunction, *, name: str | None = None, input_px: int | None = None
) -> Encoder:
    """Open an encoder by name, or wrap a function as one.

    Parameters
    ----------
    encoder
        A registered name, an opened encoder, or a function from (b, h, w, 3) uint8 tiles to (b, d) features that
        treats every tile on its own.
    name
        Name of a wrapped function; by default its ``__name__``.
    input_px
        Tile side for a wrapped function, 224 by default. Registered encoders know theirs.

    Returns
    -------
    Encoder
        With its ``card``.

    Raises
    ------
    ValueError
        If the name is unknown, or a function has no usable name.
    TypeError
        If it is neither a name nor callable.

    Examples
    --------
    >>> get_encoder(lambda tiles: tiles.mean(axis=(1, 2)), name="colour").card.name
    'colour'
    """
    if isinstance(encoder, str):
        if encoder not in _registry:
            known = ", ".join(sorted(_registry))
            msg = f"Unknown encoder {encoder!r}. Registered: {known}. Pass one of these, or a function on tiles."
            raise ValueError(msg)
        opened: Encoder = _registry[encoder][1]()
    elif isinstance(getattr(encoder, "card", None), EncoderCard):
        opened = encoder  # type: ignore[assignment]
    elif callable(encoder):
        return FunctionEncoder(encoder, name=name or _function_name(encoder), input_px=input_px or _FUNCTION_PX)
    else:
        msg = f"`encoder` must be a name or a function on tiles, got {type(encoder).__name__}."
        raise TypeError(msg)
    if input_px not in (None, opened.card.input_px):
        msg = f"Encoder {opened.card.name!r} takes tiles of {opened.card.input_px} px; leave `input_px` out."
        raise ValueError(msg)
    return opened


class FunctionEncoder:
    """A user's function on tiles, with a card of its own."""

    def __init__(self, function: TileFunction, *, name: str, input_px: int) -> None:
        check_name(name)
        self._function = function
        self.card = EncoderCard(
            name=name, dim=None, input_px=input_px, tile_um=_FUNCTION_UM, source=f"function {name}", transform="unknown"
        )

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (b, h, w, 3) uint8 tiles by the function."""
        return np.asarray(self._function(tiles), dtype=np.float32)


def check_name(name: str) -> None:
    """Refuse names that cannot be part of a slot key in every container."""
    if not _NAME.fullmatch(name):
        msg = (
            f"{name!r} cannot name an encoder: use letters, digits, `_`, `-` and `.` only (`key_added=` sets another)."
        )
        raise ValueError(msg)


def _function_name(function: object) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    if name == "<lambda>":
        msg = 'A lambda has no name to store its features under. Pass `key_added="X_<name>"`, or use a named function.'
        raise ValueError(msg)
    return str(name)
