"""Run a torch network on tiles: device, precision, batches."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._settings import settings
from .._threads import limit_torch
from ._base import EncoderCard

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

logger = logging.getLogger("phg2st_sc")

Precision = Literal["float32", "bfloat16", "float16"]
_PRECISIONS = ("float32", "bfloat16", "float16")
_AT_ONCE = {"cpu": 16, "mps": 32, "cuda": 1024}
"""Tiles that pass through the network together; a larger batch is cut, so it costs no more memory than this."""
_INSTALL = "`pip install timm huggingface_hub`"
_CPU_TORCHVISION = "`pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu`"


class TorchEncoder:
    """A torch network as an encoder: uint8 tiles in, float32 features out, without gradients.

    Parameters
    ----------
    card
        Facts about it; ``mean`` and ``std`` normalise the pixels.
    forward
        From a (b, 3, input_px, input_px) batch to (b, dim).
    device
        Where the network lies.
    precision
        Type in which ``torch.autocast`` computes, or ``"float32"`` for none of it.
    tokens
        From a (b, 3, input_px, input_px) batch to (b, n, token_dim) features of its patches, row by row.
    compiled
        Whether to compile the network when it is first used.
    batch_size
        Tiles that pass through the network together; fewer where the device's memory is short. ``None``: by the device.
    """

    def __init__(
        self,
        card: EncoderCard,
        forward: Callable[[torch.Tensor], torch.Tensor],
        *,
        device: torch.device,
        precision: Precision = "float32",
        tokens: Callable[[torch.Tensor], torch.Tensor] | None = None,
        compiled: bool = False,
        batch_size: int | None = None,
    ) -> None:
        import torch

        self.card = replace(card, precision=precision)
        self.device = device
        self._forward = torch.compile(forward) if compiled else forward
        self._tokens = torch.compile(tokens) if compiled and tokens is not None else tokens
        self._at_once = batch_size or _AT_ONCE.get(device.type, _AT_ONCE["mps"])
        self._mean = torch.tensor(card.mean or (0.0,) * 3, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(card.std or (1.0,) * 3, device=device).view(1, 3, 1, 1)

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (b, input_px, input_px, 3) uint8 tiles to (b, dim) float32."""
        self._check(tiles)
        return self._in_parts(tiles, self._forward, (self.card.dim or 0,))

    def tokens(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (b, input_px, input_px, 3) uint8 tiles to (b, h, w, token_dim) float32, patches row by row.

        Raises
        ------
        ValueError
            If the network has no features of patches.
        """
        self._check(tiles)
        if self._tokens is None:
            msg = (
                f"Encoder {self.card.name!r} has no features of the patches of a tile; vision transformers have, "
                "e.g. 'uni' or 'dinov2'."
            )
            raise ValueError(msg)
        side = self.card.input_px // self.card.patch_px
        flat = self._in_parts(tiles, self._tokens, (side * side, self.card.token_dim or 0))
        return flat.reshape(len(tiles), side, side, flat.shape[-1])

    def _check(self, tiles: NDArray[np.uint8]) -> None:
        side = self.card.input_px
        if tiles.ndim != 4 or tiles.shape[1:] != (side, side, 3) or tiles.dtype != np.uint8:
            msg = (
                f"Encoder {self.card.name!r} takes (b, {side}, {side}, 3) uint8 tiles, got {tiles.shape} {tiles.dtype}."
            )
            raise ValueError(msg)

    def _in_parts(
        self, tiles: NDArray[np.uint8], forward: Callable[[torch.Tensor], torch.Tensor], shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        if not len(tiles):
            return np.empty((0, *shape), dtype=np.float32)
        parts, start = [], 0
        while start < len(tiles):
            part = self._part(tiles[start : start + self._at_once], forward)
            if part is not None:
                parts.append(part)
                start += len(part)
        return np.concatenate(parts)

    def _part(
        self, tiles: NDArray[np.uint8], forward: Callable[[torch.Tensor], torch.Tensor]
    ) -> NDArray[np.float32] | None:
        """Encode tiles in one go; ``None`` if the device's memory does not suffice, after halving what goes at once."""
        import torch

        try:
            return self._encode(tiles, forward)
        except torch.OutOfMemoryError:
            if len(tiles) == 1:
                raise
        self._at_once = max(1, len(tiles) // 2)
        logger.info(
            "%s: memory of %s is short; %d tiles at once from here on", self.card.name, self.device, self._at_once
        )
        torch.cuda.empty_cache()
        return None

    def _encode(self, tiles: NDArray[np.uint8], forward: Callable[[torch.Tensor], torch.Tensor]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode(), self._autocast():
            batch = torch.tensor(tiles, device=self.device).permute(0, 3, 1, 2).float().div_(255.0)
            features = forward(batch.sub_(self._mean).div_(self._std).contiguous())
        return features.float().cpu().numpy()

    def _autocast(self) -> AbstractContextManager[Any]:
        import torch

        if self.card.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=getattr(torch, self.card.precision))


def resolve_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, here or by the settings; ``"auto"`` is the fastest there is: CUDA, then MPS, then the CPU."""
    import torch

    limit_torch()
    device = settings.device if device is None else device
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        msg = (
            f"`device={str(device)!r}` cannot be used here ({str(error).splitlines()[0]}). 'auto' takes what there is."
        )
        raise ValueError(msg) from error
    return found


def check_precision(precision: str | None) -> Precision:
    """Refuse what is no precision."""
    if precision is None:
        precision = settings.precision or "float32"
    if precision not in _PRECISIONS:
        msg = f"`precision` must be one of {', '.join(map(repr, _PRECISIONS))}, got {precision!r}."
        raise ValueError(msg)
    return precision  # type: ignore[return-value]


def require_timm(name: str, *, instead: str = 'encoder="texture"') -> Any:
    """Import timm, or say how to get it and what to pass to do without."""
    try:
        import huggingface_hub  # noqa: F401
        import timm
    except ModuleNotFoundError as error:
        msg = (
            f"Encoder {name!r} needs {error.name}: {_INSTALL} (without a GPU first {_CPU_TORCHVISION}, since timm brings a "
            f"torchvision that must fit torch). Without it: `{instead}`."
        )
        raise ImportError(msg, name=error.name) from error
    except (ImportError, RuntimeError, AttributeError) as error:
        msg = (
            f"Encoder {name!r} needs timm, and timm does not load here ({str(error).splitlines()[0]}). "
            "The usual cause is a torchvision built for another torch: install both from one place, e.g. "
            "`pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu`."
        )
        raise ImportError(msg) from error
    return timm
