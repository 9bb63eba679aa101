"""What the stored values of an image mean: which value is white, and how they become RGB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import is_positive
from .._warn import warn_user
from ._colors import plain, premultiplied

Convert = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
_BITS = (8, 10, 12, 14, 16)
_SLACK = 1e-3


class Samples:
    """From stored values to (h, w, 3) uint8, the same way for every box of an image.

    Parameters
    ----------
    dtype
        Type of the stored values.
    where
        What messages call the image.
    white
        The stored value of white, where the file or the user says so; by default that of the type. With 16 bits it is
        taken from the values themselves (:meth:`look`), since cameras of 10, 12 or 14 bits are stored in 16.
    convert
        From (h, w, c) uint8 to RGB; by default grey, RGB or RGBA by the number of channels.
    raw
        Whether ``convert`` takes the values as they are stored, as an index into a palette is.

    Attributes
    ----------
    order
        Order of the channels that makes them red, green, blue; ``None`` where they are so already.
    has_transparent
        Whether transparent pixels, which become white, were among those that were converted.
    """

    def __init__(
        self,
        dtype: Any,
        *,
        where: str,
        white: float | None = None,
        convert: Convert = plain,
        raw: bool = False,
    ) -> None:
        self.where, self.convert, self.raw = where, convert, raw
        self.order: list[int] | None = None
        self.has_transparent = False
        self.white = _white_of(np.dtype(dtype), white, where)

    @property
    def unsure(self) -> bool:
        """Whether the values themselves have to be looked at first."""
        return self.white is None and not self.raw

    def look(self, values: NDArray[Any]) -> None:
        """Settle the value of white from values of the whole image.

        Raises
        ------
        ValueError
            If floating-point values do not lie in 0-1.
        """
        if values.dtype.kind == "f":
            _check_unit(values, self.where)
            self.white = 1.0
            return
        largest = int(values.max(initial=0))
        self.white = 65535.0 if largest == 0 else full_scale(largest)
        if self.white < 65535:
            bits = int(self.white).bit_length()
            msg = (
                f"{self.where} is stored in 16 bits, but its values end at {largest}: read as {bits} bits, with white at "
                f"{self.white:.0f}. If that is wrong, pass `image=phg2st.io.open_image(..., white=...)` with the value of white."
            )
            warn_user(msg)

    def rgb(self, values: NDArray[Any], axes: str) -> NDArray[np.uint8]:
        """Convert a stored box."""
        if axes == "cyx":
            values = np.moveaxis(values, 0, -1)
        if axes == "yx":
            values = values[..., None]
        if self.order is not None:
            values = values[..., self.order]
        if self.convert in (plain, premultiplied) and values.shape[-1] in (2, 4) and not self.has_transparent:
            self.has_transparent = bool((values[..., -1] == 0).any())
        return np.ascontiguousarray(self.convert(values if self.raw else self._eight_bits(values)))

    def _eight_bits(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        white = 1.0 if self.white is None else self.white
        if values.dtype == np.uint8 and white == 255:
            return values
        if values.dtype == bool:
            return values.astype(np.uint8) * np.uint8(255)
        if values.dtype.kind == "f" and white == 1.0:
            _check_unit(values, self.where)
            return np.rint(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
        if values.dtype == np.uint16 and white == 65535:
            return np.rint(values / np.float32(257.0)).astype(np.uint8)
        low, high = float(np.min(values)), float(np.max(values))
        if not (low >= -_SLACK * white and high <= white * (1.0 + _SLACK)):
            msg = (
                f"{self.where} has values from {low:g} to {high:g}, beyond 0 to {white:g}. Pass "
                "`image=phg2st.io.open_image(..., white=...)` with the stored value of white."
            )
            raise ValueError(msg)
        return np.rint(np.clip(values, 0.0, white) * (255.0 / white)).astype(np.uint8)


def full_scale(largest: float) -> float:
    """Return the largest value of the fewest bits (8, 10, 12, 14 or 16) that hold ``largest``."""
    return float(next((2**bits - 1 for bits in _BITS if largest < 2**bits), 65535))


def _white_of(dtype: np.dtype[Any], white: float | None, where: str) -> float | None:
    if white is not None:
        if dtype.kind not in "uif" or not is_positive(white):
            msg = f"`white` must be the stored value of white, a number above 0, got {white!r} for values of type {dtype}."
            raise ValueError(msg)
        return float(white)
    if dtype.kind == "b":
        return 1.0
    if dtype == np.uint8:
        return 255.0
    if (dtype.kind == "u" and dtype.itemsize == 2) or dtype.kind == "f":
        return None
    msg = (
        f"{where}: image values of type {dtype} have no agreed range. Convert the image to uint8 (0-255), uint16 (0-65535) "
        "or float (0-1), or pass `image=phg2st.io.open_image(..., white=...)` with the stored value of white."
    )
    raise TypeError(msg)


def _check_unit(values: NDArray[Any], where: str) -> None:
    low, high = float(np.min(values)), float(np.max(values))
    if low >= -_SLACK and high <= 1.0 + _SLACK:
        return
    if np.isnan(low):
        msg = f"{where} has NaN among its values. Fill them, with white for background, and convert the image to uint8."
        raise ValueError(msg)
    msg = (
        f"{where}: a floating-point image must lie in 0-1, found values from {low:g} to {high:g}. Convert it to uint8, or pass "
        "`image=phg2st.io.open_image(..., white=...)` with the stored value of white."
    )
    raise ValueError(msg)
