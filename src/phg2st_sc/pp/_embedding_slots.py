"""What one call of :func:`phg2st_sc.pp.extract_embeddings` writes on a table: features, the tiles around, where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._image import pictures_record
from .._slide import Owner, SlotUpdate
from ._embedding_job import Job
from ._embedding_record import image_record

if TYPE_CHECKING:
    from anndata import AnnData

    from ._embedding_slide import EmbeddedSlide

_POOLED = "; patches pooled at the spots"
"""What tells pooled patches from features of tiles."""


def update(table: AnnData, encoded: Sequence[EmbeddedSlide], rep: str, job: Job) -> SlotUpdate:
    """Everything one call writes on one table, and what an earlier one left that no longer fits."""
    obsm: dict[str, Any] = {rep: _scatter(table.n_obs, encoded, "spots", np.float32(np.nan))}
    tiles = {key: value for key, value in (table.uns.get(_keys.TILES) or {}).items() if key != rep}
    form = job.context_form
    if form == "exact":
        obsm[_keys.context(rep)] = _scatter(table.n_obs, encoded, "blocks", np.float16(np.nan))
    elif form != "none":
        obsm[_keys.context_index(rep)], tiles[rep] = _join_tiles(table.n_obs, encoded)
    uns: dict[str, Any] = {}
    if tiles or _keys.TILES in table.uns:
        uns[_keys.TILES] = tiles
    record = _record(table, encoded, job, obsm[rep].shape[1])
    uns[_keys.EMBEDDINGS] = {**(table.uns.get(_keys.EMBEDDINGS) or {}), rep: record}
    return SlotUpdate(obsm=obsm, uns=uns, remove={"obsm": _stale(rep, job)}, owner=owner(rep))


def owner(rep: str) -> Owner:
    """Whose the slots are."""
    return Owner((_keys.EMBEDDINGS, rep), (_keys.ENCODER,), shared=(_keys.EMBEDDINGS, _keys.TILES))


def obsm_keys(rep: str) -> tuple[str, ...]:
    """Keys of ``obsm`` that an embedding may take."""
    return rep, _keys.context_index(rep), _keys.context(rep)


def _scatter(n_obs: int, encoded: Sequence[EmbeddedSlide], what: str, fill: np.generic) -> NDArray[Any]:
    first = getattr(encoded[0].found, what)
    out = np.full((n_obs, *first.shape[1:]), fill, dtype=first.dtype)
    for one in encoded:
        out[one.slide.rows] = getattr(one.found, what)
    return out


def _join_tiles(n_obs: int, encoded: Sequence[EmbeddedSlide]) -> tuple[NDArray[np.int32], dict[str, Any]]:
    """Index over all rows of the table, and the tiles of its slides one slide after the other."""
    index: NDArray[np.int32] | None = None
    features, centers, codes, start = [], [], [], 0
    for code, one in enumerate(encoded):
        found = one.found
        if found.index is None or found.tiles is None or found.tile_features is None:
            continue
        if index is None:
            index = np.full((n_obs, found.index.shape[1]), -1, dtype=np.int32)
        index[one.slide.rows] = np.where(found.index >= 0, found.index + start, -1)
        features.append(found.tile_features)
        centers.append(found.tiles.centers)
        codes.append(np.full(len(found.tiles), code, dtype=np.int32))
        start += len(found.tiles)
    tiles = {
        "features": np.concatenate(features),
        "positions": np.concatenate(centers),
        "slide": np.concatenate(codes),
        _keys.SLIDES: np.array([one.slide.name for one in encoded]),
    }
    return np.asarray(index, dtype=np.int32), tiles


def _record(table: AnnData, encoded: Sequence[EmbeddedSlide], job: Job, dim: int) -> dict[str, Any]:
    card = job.encoder.card
    pools = [one.found.pool_um for one in encoded if one.found.pool_um is not None]
    common = image_record(
        table,
        [(one.slide.name, one.mpp, one.mpp_source) for one in encoded],
        encoder=card.name,
        revision=card.revision,
        weights=card.weights,
        transform=card.transform + (_POOLED if pools else ""),
        precision=card.precision,
        license_name=card.license,
        dim=dim,
        fields=card.fields,
        tile_um=job.tile_um,
        context=job.context,
        context_form=job.context_form,
        made_with=("scipy", "scikit-image", "pillow", "torch", "timm"),
    )
    return {
        **common,
        _keys.CONTEXT_MODE: job.context_mode,
        **({_keys.POOL_UM: np.array(pools)} if pools else {}),
        _keys.INPUT_PX: card.input_px,
        _keys.POOLED_FIELDS: np.array([[field in one.found.pooled for field in card.fields] for one in encoded]),
        _keys.SKIP_GLASS: job.skip_glass,
        _keys.N_PADDED: np.array([one.n_padded for one in encoded]),
        **pictures_record([one.picture for one in encoded]),
    }


def _stale(rep: str, job: Job) -> list[str]:
    """Keys of ``obsm`` that hold the context of an earlier call under the same key, in a form that this one has not."""
    blocks, index = _keys.context(rep), _keys.context_index(rep)
    return {"none": [index, blocks], "exact": [index]}.get(job.context_form, [blocks])
