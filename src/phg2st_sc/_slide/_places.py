"""Spots that lie at one place, the sign of several slides taken as one, and spots that lie on no lattice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .. import _keys
from .._text import quoted
from .._warn import warn_user
from ._model import Slide

_MOST_SHARED = 0.01
_MOST_TOLD = 3
_ARRAY = (_keys.ARRAY_ROW, _keys.ARRAY_COL)


def check_places(slide: Slide, slide_key: str | None) -> None:
    """Refuse a slide whose spots share their places, as those of several slides do; a few are only warned of.

    Places are compared by spot centre, and by ``obs["array_row"]`` and ``obs["array_col"]`` where those are known: the
    spots of two slides of one platform rarely agree to the pixel, but they do on the array.

    Raises
    ------
    ValueError
        If more than 1 % of the spots lie where another one lies, and no ``slide_key`` was given.
    """
    if not np.isfinite(slide.pitch_px):
        return  # fewer than two places at all, which is said where distances are needed
    found = {"centre": _repeated(slide.positions)}
    if all(key in slide.table.obs for key in _ARRAY):
        found["array position"] = _repeated(slide.table.obs[list(_ARRAY)].iloc[slide.rows].to_numpy())
    what, repeated = max(found.items(), key=lambda item: int(item[1].sum()))
    if not repeated.any():
        return
    names = slide.table.obs_names[slide.rows[repeated]]
    msg = f"Slide {slide.name!r}: {len(names)} of {slide.n_spots} spots have the {what} of another spot ({quoted(names)}). "
    if slide_key is None:
        msg += "Several slides in one object? Pass `slide_key=`, the column of obs that tells them apart."
        if repeated.mean() > _MOST_SHARED:
            raise ValueError(msg + " (If it is one slide, pass a column that holds one value.)")
    else:
        msg += f"Does obs[{slide_key!r}] tell all slides apart?"
    warn_user(msg)


def warn_off_lattice(slides: Sequence[Slide]) -> None:
    """Tell once of all slides whose spots lie on no lattice, where distances are about to be counted."""
    off = [slide for slide in slides if slide.pitch_source == "spacing"]
    if not off:
        return
    told = ", ".join(f"{slide.name!r}: {slide.pitch:.4g}" for slide in off[:_MOST_TOLD])
    more = f" and {len(off) - _MOST_TOLD} more" if len(off) > _MOST_TOLD else ""
    msg = (
        f"The spots of {len(off)} of {len(slides)} slide(s) lie on no lattice, as beads and cells do: distances are counted in "
        f"their typical spacing ({told}{more}, in the unit of the spot centres). Pass `pitch=` to say it: the same number to "
        "go on as it is, or the distance of neighbouring spots where this one is wrong."
    )
    warn_user(msg)


def _repeated(places: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Which rows repeat an earlier one; rows with gaps repeat nothing."""
    frame = pd.DataFrame(places)
    return (frame.duplicated() & frame.notna().all(axis=1)).to_numpy(dtype=bool)
