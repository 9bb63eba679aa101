"""What a call of :func:`phg2st_sc.pp.extract_embeddings` is to compute, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from .. import _keys
from .._image import check_length
from .._warn import warn_user
from ..encoders import Encoder, TokenEncoder, check_name, get_encoder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ..encoders import TileFunction

ContextMode = Literal["grid", "exact", "lattice", "tokens"]
_MODES = get_args(ContextMode)
_PREFIX = _keys.embedding("")
TILE_UM = 112.0
"""Side in µm of a tile: 224 pixels at 0.5 µm, as pathology networks take them."""


@dataclass(frozen=True)
class EncoderOrder:
    """How an encoder is opened: by name where it is used, or one that is open already.

    Attributes
    ----------
    encoder
        A name, an encoder or a function.
    name
        Of a function.
    input_px
        Side of the tiles of a function.
    fields
        Fields of view of a function, in tiles.
    options
        Of an encoder that is opened by name.
    """

    encoder: str | Encoder | TileFunction
    name: str | None
    input_px: int | None
    fields: tuple[float, ...] | None
    options: dict[str, Any]

    def open(self) -> Encoder:
        """Open it."""
        return get_encoder(self.encoder, name=self.name, input_px=self.input_px, fields=self.fields, **self.options)


@dataclass(frozen=True)
class Job:
    """Settings that all slides of a call share.

    Attributes
    ----------
    rep
        Key in ``obsm``.
    encoder
        An opened encoder.
    tile_um
        Side of a tile in µm.
    context
        Tiles along a side of the block around each spot; 0 for none.
    context_mode
        How tiles are laid, or that their patches are pooled: "grid", "exact" or "lattice".
    pool_um
        Side in µm of the square around a spot over which patches are pooled; ``None`` for the distance of the spots.
    skip_glass
        Whether tiles of glass are given the features of a white tile.
    batch_size
        Tiles per call of the encoder; ``None``: found.
    progress
        Whether to show bars.
    keep_in
        Folder for features on their way.
    order
        How the encoder was opened.
    """

    rep: str
    encoder: Encoder
    tile_um: float
    context: int
    context_mode: ContextMode
    pool_um: float | None
    skip_glass: bool
    batch_size: int | None
    progress: bool | None
    keep_in: Path | None
    order: EncoderOrder

    @property
    def context_form(self) -> str:
        """How the tiles around the spots are laid, as the record says it."""
        return self.context_mode if self.context else "none"


def job_of(
    encoder: str | Encoder | TileFunction,
    options: dict[str, Any],
    *,
    key_added: str | None,
    input_px: int | None,
    tile_um: float,
    fields_um: Sequence[float] | None,
    context: int | str | None,
    context_mode: str,
    pool_um: float | None,
    exact_context: bool,
    skip_glass: bool | None,
    batch_size: int | None,
    progress: bool | None,
    keep_in: Path | None,
) -> Job:
    """Check the settings and open the encoder."""
    mode = _context_mode(context_mode, exact_context)
    if mode == "exact" and context is None:
        warn_user(
            'There are no tiles around the spots to lay: `context_mode="exact"` says how they lie, and `context=None` asks for none. '
            "For methods that look at them, pass `context=5`."
        )
    tile_um, fields = _fields(fields_um, check_length("tile_um", tile_um), encoder)
    order = _order(encoder, key_added, input_px, fields, options)
    rep, opened = _open(order, key_added, mode)
    return Job(
        rep,
        opened,
        tile_um,
        _context(context, opened, mode),
        mode,
        _pool(pool_um, mode),
        mode in ("lattice", "tokens") if skip_glass is None else bool(skip_glass),
        _batch(batch_size),
        progress,
        keep_in,
        order,
    )


def _fields(
    fields_um: Sequence[float] | None, tile_um: float, encoder: str | Encoder | TileFunction
) -> tuple[float, tuple[float, ...] | None]:
    """Side of a tile, and the fields of view of a function in such tiles."""
    if fields_um is None:
        return tile_um, None
    if isinstance(encoder, str) or hasattr(encoder, "card"):
        msg = "`fields_um` are the fields of view of an encoder that is a function; others know theirs: leave it out."
        raise ValueError(msg)
    widths = [check_length("fields_um", one) for one in np.ravel(np.asarray(fields_um, dtype=object))]
    if not widths or tile_um not in (TILE_UM, widths[0]):
        msg = f"The first of `fields_um` is the side of a tile, got {fields_um!r}: leave `tile_um={tile_um:g}` out."
        raise ValueError(msg)
    return widths[0], tuple(one / widths[0] for one in widths)


def _order(
    encoder: str | Encoder | TileFunction,
    key_added: str | None,
    input_px: int | None,
    fields: tuple[float, ...] | None,
    options: dict[str, Any],
) -> EncoderOrder:
    if key_added is not None:
        check_name(key_added)
    is_lambda = getattr(encoder, "__name__", "") == "<lambda>"
    name = key_added.removeprefix(_PREFIX) if key_added is not None and is_lambda else None
    return EncoderOrder(encoder, name, input_px, fields, options)


def _open(order: EncoderOrder, key_added: str | None, mode: ContextMode) -> tuple[str, Encoder]:
    opened = order.open()
    if mode != "tokens":
        return key_added or _keys.embedding(opened.card.name), opened
    if not isinstance(opened, TokenEncoder) or not opened.card.patch_px:
        msg = (
            f"`context_mode=\"tokens\"` needs an encoder with features of the patches of a tile, as vision transformers are ('uni', "
            f"'dinov2', ...); {opened.card.name!r} has none."
        )
        raise ValueError(msg)
    return key_added or _keys.embedding(_keys.tokens(opened.card.name)), opened


def _pool(pool_um: float | None, mode: ContextMode) -> float | None:
    if pool_um is not None and mode != "tokens":
        msg = f'`pool_um` applies to `context_mode="tokens"`, and this is {mode!r}.'
        raise ValueError(msg)
    return None if pool_um is None else check_length("pool_um", pool_um)


def _context(context: int | str | None, encoder: Encoder, mode: ContextMode) -> int:
    if mode == "tokens":
        if context not in ("auto", None):
            msg = f'`context_mode="tokens"` pools patches at the spots, and keeps no tiles around them: leave `context={context!r}` out.'
            raise ValueError(msg)
        return 0
    if context == "auto":
        return 5 if max(encoder.card.fields) == 1.0 else 0
    if context is None:
        return 0
    if isinstance(context, bool) or not isinstance(context, (int, np.integer)) or context < 1 or context % 2 == 0:
        msg = f"`context` must be an odd number of tiles along a side, None or 'auto', got {context!r}."
        raise ValueError(msg)
    return int(context)


def _context_mode(mode: str, exact: bool) -> ContextMode:
    if exact:
        warn_user('`exact_context=True` is `context_mode="exact"` now, and goes with the next release.', FutureWarning)
        return "exact"
    if mode not in _MODES:
        msg = f"`context_mode` must be one of {', '.join(map(repr, _MODES))}, got {mode!r}."
        raise ValueError(msg)
    return mode  # type: ignore[return-value]


def _batch(batch_size: int | None) -> int | None:
    if batch_size is None:
        return None
    if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        msg = f"`batch_size` must be an integer of at least 1, got {batch_size!r}."
        raise ValueError(msg)
    return int(batch_size)
