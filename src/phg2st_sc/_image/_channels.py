"""Which axis of an array is the colours, and in which order they are."""

from __future__ import annotations

import re
from collections.abc import Sequence

CHANNELS = (1, 3, 4)
_RGBA = {
    "r": 0,
    "red": 0,
    "ff0000": 0,
    "g": 1,
    "green": 1,
    "00ff00": 1,
    "b": 2,
    "blue": 2,
    "0000ff": 2,
    "a": 3,
    "alpha": 3,
}
_STAIN = re.compile(
    r"dapi|hoechst|fitc|tritc|texas|rhodamine|alexa|draq|\b[gryc]fp\b|\bcy\s?\d|\baf\s?\d{3}|\bcd\d|\d{3}\s?nm|fluo|dic\b|phase",
    re.IGNORECASE,
)


def axes_of_shape(shape: tuple[int, ...]) -> str:
    """Tell (y, x), (y, x, c) and (c, y, x) apart by the channel count; refuse what fits both or neither."""
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3:
        last, first = shape[2] in CHANNELS, shape[0] in CHANNELS
        if last and first:
            msg = (
                f"An array of shape {shape} could be (y, x, c) or (c, y, x). Pass an xarray.DataArray with named "
                "dimensions."
            )
            raise ValueError(msg)
        if last:
            return "yxc"
        if first:
            return "cyx"
    msg = (
        f"An array of shape {shape} is no brightfield image: expected (y, x), (y, x, c) or (c, y, x) with c = 1 (grey), "
        "3 (RGB) or 4 (RGBA)."
    )
    raise ValueError(msg)


def channel_order(names: Sequence[object], where: str) -> list[int] | None:
    """Return the order that makes channels red, green, blue, where their names or colours give another.

    Parameters
    ----------
    names
        Names of the channels, or their colours as hexadecimal numbers.
    where
        What the message calls the image.

    Raises
    ------
    ValueError
        If the names are those of fluorescent dyes or of other contrasts.
    """
    texts = [str(name).strip().lower() for name in names]
    stains = [str(name) for name in names if _STAIN.search(str(name))]
    if stains and len(texts) > 1:
        msg = (
            f"{where} has channels {', '.join(map(str, names))}: a picture of dyes, not of red, green and blue. Pass the "
            "H&E image."
        )
        raise ValueError(msg)
    places = [_RGBA.get(text, -1) for text in texts]
    if sorted(places) != list(range(len(places))) or len(places) < 3:
        return None
    order = sorted(range(len(places)), key=places.__getitem__)
    return None if order == list(range(len(places))) else order
