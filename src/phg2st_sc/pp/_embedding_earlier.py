"""What an earlier call wrote for slides that this one leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._reading import identity, same_kind
from .._slide import Slide, embedding_records, spot_numbers
from .._text import quoted
from .._warn import warn_user

if TYPE_CHECKING:
    from anndata import AnnData

_BY_SLIDE = (_keys.FILES, _keys.SLIDES, _keys.MPP, _keys.MPP_SOURCE, _keys.N_WITHOUT)
"""Fields of a record with one entry for each slide."""


def begin(
    table: AnnData, left_out: Sequence[Slide], rep: str, record: Mapping[str, Any]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Features (n_obs, d) and record to write into: those of the slides left out, where they are of the same kind; else NaN."""
    values = np.full((table.n_obs, record[_keys.DIM]), np.nan, dtype=np.float32)
    earlier = embedding_records(table).get(rep, {})
    if not left_out or not earlier or rep not in table.obsm:
        return values, dict(record)
    there = spot_numbers(table, rep)
    having = [slide for slide in left_out if np.isfinite(there[slide.rows]).any()]
    if not same_kind(identity(earlier), identity(record)) or there.shape != values.shape:
        _warn_lost(having, rep)
        return values, dict(record)
    for slide in having:
        values[slide.rows] = there[slide.rows]
    return values, _joined(earlier, record)


def _warn_lost(having: Sequence[Slide], rep: str) -> None:
    if having:
        warn_user(
            f"Features in obsm[{rep!r}] of slides that `features` leaves out ({quoted(slide.name for slide in having)}) are replaced "
            "by NaN: they are of another encoder, revision, software, tile size or width than the new ones. To keep them, add the new ones "
            "under another `key_added=`."
        )


def _joined(earlier: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the entries that an earlier one has for other slides before its own; `anndata.concat` may have dropped them."""
    if len({np.size(earlier.get(key, ())) for key in _BY_SLIDE}) > 1 or _keys.SLIDES not in earlier:
        return dict(record)
    stays = ~np.isin(np.asarray(earlier[_keys.SLIDES]).astype(str), record[_keys.SLIDES])
    return {**record, **{key: np.concatenate([np.asarray(earlier[key])[stays], record[key]]) for key in _BY_SLIDE}}
