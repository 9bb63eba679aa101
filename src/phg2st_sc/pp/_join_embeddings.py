"""Features of several encoders side by side, each with the same say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _keys
from .._docs import documented
from .._reading import Reading, choose_rep, identity
from .._slide import Slide, SlotUpdate, embedding_records, refuse_foreign, spot_numbers, store_behind, write_slots
from .._text import quoted
from .._warn import one_message_per_fault
from ..encoders import check_name
from ._embedding_record import image_record
from ._embedding_slots import obsm_keys, owner

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

_PREFIX = _keys.embedding("")
_BETWEEN = " + "


@one_message_per_fault
@documented
def join_embeddings(
    data: AnnData | SpatialData,
    keys: Sequence[str],
    *,
    key_added: str,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    write: bool = False,
) -> None:
    """Put image features of several encoders side by side under one key.

    Methods take one key of features. The record of the joined ones keeps where each encoder's columns begin, and every encoder has
    the same say in them: put together without, a network of a thousand features drowns one of three hundred.

    Parameters
    ----------
    {data}
    keys
        Keys in ``obsm`` of features that :func:`extract_embeddings` or :func:`add_embeddings` wrote, two or more.
    key_added
        Key in ``obsm`` of the joined features. Name it in ``use_rep=`` of what follows, as there are several then.
    {slide_key} {table_key} {coordinate_system} {pitch} {write}

    Raises
    ------
    KeyError
        If there are no features of one of the names.
    ValueError
        If there are fewer than two names or one twice, or no record says that features come from the image; if ``obsm`` holds ``key_added`` and
        it was not written by this package.

    Notes
    -----
    Reads ``obsm[key]`` of every key and its record. Writes ``obsm[key_added]`` (n_obs, d) float32 and its provenance in
    ``uns["phg2st_embeddings"][key_added]``, with the columns of each encoder in ``blocks``. The tiles around the spots are not joined.
    Features are joined as they are: embed anew, join anew. Expression is never read.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=60, progress=False)
    >>> phg2st.pp.extract_embeddings(adata, encoder="texture", progress=False)
    >>> def color(tiles):
    ...     return tiles.mean(axis=(1, 2))
    >>> phg2st.pp.extract_embeddings(adata, encoder=color, progress=False)
    >>> phg2st.pp.join_embeddings(adata, ["X_texture", "X_color"], key_added="X_both")
    >>> adata.obsm["X_both"].shape[1], adata.uns["phg2st_embeddings"]["X_both"]["blocks"].tolist()
    (285, [282, 3])
    """
    parts = _checked(keys, key_added)
    slides = Reading.among(locals()).open(data)
    if write:
        store_behind(data)
    by_table: dict[int, list[Slide]] = {}
    for one in slides:
        by_table.setdefault(id(one.table), []).append(one)
    updates = [(found[0].table, _update(found, parts, key_added)) for found in by_table.values()]
    for table, update in updates:
        write_slots(data, table, update, write=write)


def _checked(keys: Sequence[str], key_added: str) -> list[str]:
    parts = [keys] if isinstance(keys, str) else list(keys)
    if len(set(parts)) < max(2, len(parts)):
        msg = f"`keys` are two or more different keys of `obsm`, e.g. ['X_texture', 'X_uni'], got {keys!r}."
        raise ValueError(msg)
    if key_added in parts:
        msg = f"`key_added={key_added!r}` is one of `keys`: choose another, or it is lost."
        raise ValueError(msg)
    check_name(key_added.removeprefix(_PREFIX))
    return parts


def _update(slides: Sequence[Slide], parts: Sequence[str], rep: str) -> SlotUpdate:
    table = slides[0].table
    refuse_foreign(table, [("obsm", key) for key in obsm_keys(rep)], owner(rep))
    for part in parts:
        choose_rep(table, part)  # raises where no record says that they come from the image
    values = np.hstack([spot_numbers(table, part).astype(np.float32) for part in parts])
    there = [one for one in slides if np.isfinite(values[one.rows]).all(axis=1).any()]
    if not there:
        msg = f"No spot has all of {quoted(parts)}: embed the slides with each encoder first."
        raise ValueError(msg)
    records = [embedding_records(table)[part] for part in parts]
    uns: dict[str, Any] = {
        _keys.EMBEDDINGS: {**(table.uns.get(_keys.EMBEDDINGS) or {}), rep: _record(there, parts, records, values)}
    }
    tiles = table.uns.get(_keys.TILES) or {}
    if rep in tiles:
        uns[_keys.TILES] = {key: value for key, value in tiles.items() if key != rep}
    return SlotUpdate(obsm={rep: values}, uns=uns, remove={"obsm": list(obsm_keys(rep)[1:])}, owner=owner(rep))


def _record(
    slides: Sequence[Slide], parts: Sequence[str], records: Sequence[Mapping[str, Any]], values: np.ndarray
) -> dict[str, Any]:
    table = slides[0].table
    common = image_record(
        table,
        [(one.name, one.mpp, one.mpp_source) for one in slides],
        encoder=_joined(records, _keys.ENCODER),
        revision=_joined(records, _keys.REVISION),
        weights=_joined(records, _keys.WEIGHTS),
        transform=_BETWEEN.join(map(_how, records)),
        precision=_joined(records, _keys.PRECISION),
        license_name=_joined(records, _keys.LICENSE),
        dim=values.shape[1],
        tile_um=float(records[0][_keys.TILE_UM]),
    )
    widths = [_widths(table, part, record) for part, record in zip(parts, records, strict=True)]
    return {**common, _keys.PARTS: np.array(parts), _keys.BLOCKS: np.concatenate(widths)}


def _joined(records: Sequence[Mapping[str, Any]], key: str) -> str:
    return _BETWEEN.join(str(record.get(key, "")) for record in records)


def _how(record: Mapping[str, Any]) -> str:
    """What happened to the pixels, and over which squares: the joined record has one tile size for all."""
    kind = identity(record)
    pools = "".join(f", pooled over {side:.3g} µm" for side in {round(one, 1) for one in kind.get(_keys.POOL_UM, ())})
    return f"{kind.get(_keys.TRANSFORM, '')} ({float(record[_keys.TILE_UM]):g} µm{pools})"


def _widths(table: AnnData, part: str, record: Mapping[str, Any]) -> np.ndarray:
    width = table.obsm[part].shape[1]
    known = np.ravel(record.get(_keys.BLOCKS, (width,))).astype(np.int64)
    return known if known.sum() == width else np.array([width])
