"""How many tiles to hand to an encoder at a time: as many as asked for, or found while it works."""

from __future__ import annotations

from ._base import Encoder

FIRST_BATCH, _MOST = 64, 1024
_GAIN = 0.95


class BatchSize:
    """Tiles per call of an encoder.

    On a processor that nobody asked about it stays at 64. On other devices it doubles, up to 1,024, for as long as that makes a
    tile at least 5 % cheaper; a network cuts what its device has no memory for, which makes no tile cheaper.

    Parameters
    ----------
    encoder
        Whose ``device`` says where it computes, if it has one.
    asked
        A number to keep to.
    """

    def __init__(self, encoder: Encoder, asked: int | None) -> None:
        self._size = asked or FIRST_BATCH
        device = getattr(encoder, "device", None)
        self._grows = asked is None and device is not None and getattr(device, "type", str(device)) != "cpu"
        self._best = float("inf")

    def __call__(self) -> int:
        """Tiles to hand over next."""
        return self._size

    def took(self, n_tiles: int, seconds: float) -> None:
        """Note how long a call took; those of other sizes, read ahead before the last change, say nothing."""
        if not self._grows or n_tiles != self._size:
            return
        per_tile = seconds / n_tiles
        if per_tile > _GAIN * self._best:
            self._size, self._grows = self._size // 2, False
        elif 2 * self._size > _MOST:
            self._grows = False
        else:
            self._best, self._size = per_tile, 2 * self._size
