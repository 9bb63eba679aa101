"""What tells one kind of image features from another, and the call that makes such features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import _keys

IDENTITY = (_keys.ENCODER, _keys.REVISION, _keys.TRANSFORM, _keys.TILE_UM)
"""What two embeddings must share to be features of the same kind."""
_HOW = (_keys.CONTEXT, _keys.CONTEXT_MODE, _keys.LAYOUT, _keys.PARTS)
"""What else the call says that makes such features."""
POOL_TOLERANCE = 0.05
"""Part by which the squares may differ that patches were pooled over: the distance of spots is measured on every slide anew."""
_DEFAULT_MODE = "grid"
"""Of `phg2st_sc.pp.extract_embeddings`."""


def identity(record: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a provenance record that tells one kind of features from another, as plain JSON values."""
    pool, widths = _pool(record), [int(width) for width in np.ravel(record.get(_keys.BLOCKS, ()))]
    found = {key: _plain(record[key]) for key in IDENTITY if key in record}
    return found | ({_keys.POOL_UM: pool} if pool else {}) | ({_keys.BLOCKS: widths} if widths else {})


def how_made(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the call said that made features, beside their :func:`identity`, as plain JSON values."""
    return {key: _plain(record[key]) for key in _HOW if key in record}


def different(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    """In what two :func:`identity` differ; squares that patches were pooled over are compared where both are known.

    Records of slides on which these differ at all lose them to ``anndata.concat``.
    """
    pools = [one[_keys.POOL_UM] for one in (here, there) if _keys.POOL_UM in one]
    keys = [key for key in {**here, **there} if key != _keys.POOL_UM and here.get(key) != there.get(key)]
    alike = len(pools) < 2 or all(_within(*sides) for sides in zip(*pools, strict=True))
    return keys if alike else [*keys, _keys.POOL_UM]


def same_kind(here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether features with these :func:`identity` may be put together."""
    return not different(here, there)


def _pool(record: Mapping[str, Any]) -> list[float] | None:
    """The least and the largest side in µm over which patches were pooled, where they were."""
    sides = np.ravel(record.get(_keys.POOL_UM, ())).astype(float)
    return [float(sides.min()), float(sides.max())] if sides.size else None


def _within(side: float, other: float) -> bool:
    return abs(side - other) <= POOL_TOLERANCE * max(side, other)


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else value


def embedding_call(record: Any = None, *, more: str = "") -> str:
    """The call that computes features as a record says that they were; by default where there is no record."""
    known = record if isinstance(record, Mapping) else {}
    if parts := [str(part) for part in np.ravel(known.get(_keys.PARTS, ()))]:
        return f"`phg2st_sc.pp.join_embeddings(data, {parts}, {more or 'key_added=...'})`"
    encoder, context, mode = (known.get(key) for key in (_keys.ENCODER, _keys.CONTEXT, _keys.CONTEXT_MODE))
    made_elsewhere, tile_um, pool = known.get(_keys.LAYOUT), known.get(_keys.TILE_UM), _pool(known)
    said = [
        "data, features" if made_elsewhere else "data",
        f"encoder={str(encoder)!r}" if encoder else "",
        f"tile_um={float(tile_um):g}" if tile_um else "",
        f"context={int(context)}" if context else "",
        f"context_mode={str(mode)!r}" if mode and mode != _DEFAULT_MODE else "",
        f"pool_um={sum(pool) / 2:.3g}" if pool and _within(*pool) else "",
        more,
    ]
    call = "add_embeddings" if made_elsewhere else "extract_embeddings"
    return f"`phg2st_sc.pp.{call}({', '.join(filter(None, said))})`"
