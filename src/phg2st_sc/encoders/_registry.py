"""Which encoders exist, and how a name or a function becomes one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._docs import documented
from .._registry import Registry
from ._base import Encoder, EncoderCard

if TYPE_CHECKING:
    import torch

TileFunction = Callable[[NDArray[np.uint8]], Any]
_NAME = re.compile(r"[A-Za-z0-9_.\-]+")
_FUNCTION_PX = 224
_FUNCTION_UM = 112.0
_TIMM = "timm:"


class Registered(NamedTuple):
    """A known encoder: its card, and how it is opened."""

    card: EncoderCard
    open: Callable[..., Encoder]


def _facts(known: Registered) -> dict[str, object]:
    card = known.card
    return {
        "license": card.license,
        "gated": card.gated,
        "features": card.total_dim,
        "pooling": card.pooling,
        "tile": f"{card.tile_um:g} µm, {card.input_px} px",
        "source": card.source,
    }


ENCODERS: Registry[Registered] = Registry("encoder", _facts, otherwise=", 'timm:<model>', or a function on tiles")
"""Every encoder that has a name: licence, features, tiles and source."""


def register_encoder(card: EncoderCard, factory: Callable[..., Encoder]) -> None:
    """Make an encoder known by its card's name.

    Parameters
    ----------
    card
        Facts about the encoder.
    factory
        Opens it; called when it is first needed, so weights and heavy imports belong there. Those of ``weights``,
        ``revision``, ``device``, ``precision``, ``compiled`` and ``batch_size`` that the user gave are passed by keyword.

    Raises
    ------
    ValueError
        If the name is taken, or would be no valid slot name.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> card = phg2st.encoders.EncoderCard(name="my_network", dim=512, input_px=224, tile_um=112.0)
    >>> phg2st.encoders.register_encoder(card, factory=lambda device=None: ...)
    >>> del phg2st.encoders.ENCODERS["my_network"]  # as if nothing had been
    """
    check_name(card.name)
    if card.name in ENCODERS:
        msg = f"An encoder named {card.name!r} is registered already."
        raise ValueError(msg)
    ENCODERS[card.name] = Registered(card, factory)


def list_encoders() -> list[EncoderCard]:
    """Return the cards of all registered encoders, by name.

    Examples
    --------
    >>> "texture" in [card.name for card in list_encoders()]
    True
    """
    return [ENCODERS[name].card for name in ENCODERS.names()]


@documented
def get_encoder(
    encoder: str | Encoder | TileFunction,
    *,
    name: str | None = None,
    input_px: int | None = None,
    fields: Sequence[float] | None = None,
    weights: str | Path | None = None,
    revision: str | None = None,
    device: str | torch.device | None = None,
    precision: str | None = None,
    compiled: bool | None = None,
    batch_size: int | None = None,
) -> Encoder:
    """Open an encoder by name, or wrap a function as one.

    Parameters
    ----------
    encoder
        A registered name, ``"timm:<model>"`` for any model of timm, an opened encoder, or a function from
        (b, h, w, 3) uint8 tiles to (b, d) features that treats every tile on its own.
    name
        Name of a wrapped function; by default its ``__name__``.
    input_px
        Tile side for a wrapped function, 224 by default. Registered encoders know theirs.
    fields
        Fields of view of a wrapped function, as multiples of the tile side: ``(1, 5)`` shows it every tile and the square five
        tiles wide around it. One by default.
    {weights:encoder}
    revision
        Branch, tag or commit on the hub.
    {device} {precision:encoder}
    compiled
        Whether ``torch.compile`` compiles the network when it is first used: minutes once, for fewer seconds a slide on a GPU.
        Features move by rounding. It needs a compiler on the machine.
    batch_size
        Tiles that pass through the network together, at most; by default 16 on a CPU, 32 with MPS and 1,024 with CUDA. Where the
        device's memory is short they are halved until it suffices.

    Returns
    -------
    Encoder
        With its ``card``: of a network, that says which weights it has.

    Raises
    ------
    ValueError
        If the name is unknown, a function has no usable name, an option does not apply to the encoder, or weights are
        those of another network.
    TypeError
        If it is neither a name nor callable.
    ImportError
        If the ``encoders`` extra is missing.
    PermissionError
        If weights are gated, and this machine's account has no access.
    ConnectionError
        If weights are neither on this machine nor within reach.
    FileNotFoundError
        If there is nothing at ``weights``.

    Examples
    --------
    >>> get_encoder(lambda tiles: tiles.mean(axis=(1, 2)), name="color").card.name
    'color'
    """
    given = {"weights": weights, "revision": revision, "device": device, "precision": precision}
    given |= {"compiled": compiled, "batch_size": batch_size}
    options = {option: value for option, value in given.items() if value is not None}
    if batch_size is not None and (
        isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1
    ):
        msg = f"`batch_size` must be an integer of at least 1, got {batch_size!r}."
        raise ValueError(msg)
    if isinstance(encoder, str):
        opened = _open(encoder, options)
    elif options:
        msg = f"{_listed(options)} apply to encoders that are opened by name, and {encoder!r} is one already."
        raise ValueError(msg)
    elif isinstance(getattr(encoder, "card", None), EncoderCard):
        opened = encoder  # type: ignore[assignment]
    elif callable(encoder):
        name = name or _function_name(encoder)
        return FunctionEncoder(encoder, name=name, input_px=input_px or _FUNCTION_PX, fields=_checked_fields(fields))
    else:
        msg = f"`encoder` must be a name or a function on tiles, got {type(encoder).__name__}."
        raise TypeError(msg)
    if input_px not in (None, opened.card.input_px):
        msg = f"Encoder {opened.card.name!r} takes tiles of {opened.card.input_px} px; leave `input_px` out."
        raise ValueError(msg)
    if fields is not None:
        msg = f"Encoder {opened.card.name!r} knows its fields of view, {opened.card.fields}: leave them out."
        raise ValueError(msg)
    return opened


def _checked_fields(fields: Sequence[float] | None) -> tuple[float, ...]:
    if fields is None:
        return (1.0,)
    found = tuple(float(one) for one in fields)
    if not found or len(set(found)) < len(found) or not all(np.isfinite(one) and one > 0 for one in found):
        msg = f"Fields of view are widths above 0, each another one, not {fields!r}."
        raise ValueError(msg)
    return found


def _open(name: str, options: dict[str, Any]) -> Encoder:
    factory = _factory(name)
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        msg = f"Encoder {name!r} takes none of {_listed(options)}; leave them out."
        raise ValueError(msg) from error
    opened: Encoder = factory(**options)
    return opened


def _factory(name: str) -> Callable[..., Encoder]:
    if name.startswith(_TIMM):
        from ._timm import open_timm

        return partial(open_timm, name.removeprefix(_TIMM))
    return ENCODERS[name].open


def _listed(options: dict[str, Any]) -> str:
    return ", ".join(f"`{option}`" for option in options)


class FunctionEncoder:
    """A user's function on tiles, with a card of its own."""

    def __init__(self, function: TileFunction, *, name: str, input_px: int, fields: tuple[float, ...] = (1.0,)) -> None:
        check_name(name)
        self._function = function
        # the record's `transform` is what tells features of one function over these fields from those over others
        seen = "" if fields == (1.0,) else f"; over {' and '.join(f'{one:g}' for one in fields)} tiles"
        self.card = EncoderCard(
            name=name,
            dim=None,
            input_px=input_px,
            tile_um=_FUNCTION_UM,
            fields=fields,
            source=f"function {name}",
            transform=f"unknown{seen}",
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
