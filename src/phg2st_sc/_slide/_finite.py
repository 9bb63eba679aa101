"""Spots without a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _keys
from .._text import quoted
from ._leave_out import leave_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._model import Slide


def check_finite_centers(slide: Slide, spots: NDArray[np.bool_] | None = None) -> None:
    """Refuse spots whose centres are NaN or infinite, of all or of the marked ones.

    Raises
    ------
    ValueError
        If there are any; the message names them, and how to leave them out.
    """
    nowhere = ~np.isfinite(slide.positions).all(axis=1)
    nowhere = nowhere if spots is None else nowhere & spots
    if not nowhere.any():
        return
    names = slide.table.obs_names[slide.rows[nowhere]]
    msg = f"The centres of {len(names)} spot(s) of slide {slide.name!r} are NaN or infinite ({quoted(names)}): correct "
    if _keys.SPATIALDATA_ATTRS in slide.table.uns:
        msg += "the shapes that the table annotates, or leave these spots out of both."
    else:
        keep = leave_out(slide.table, _keys.SPATIAL, names)
        msg += f"obsm[{_keys.SPATIAL!r}], or leave these spots out, e.g. `{keep}`."
    raise ValueError(msg)
