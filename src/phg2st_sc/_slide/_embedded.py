"""Records that ``pp.extract_embeddings`` keeps of what it wrote, by the key of the embedding in ``obsm``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import _keys

if TYPE_CHECKING:
    from anndata import AnnData


def embedding_records(table: AnnData, slot: str = _keys.EMBEDDINGS) -> dict[str, Mapping[str, Any]]:
    """Records in ``uns[slot]`` by the key of the embedding, without what is no record.

    Raises
    ------
    TypeError
        If the slot holds something else.
    """
    found = table.uns.get(slot)
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        msg = (
            f"uns[{slot!r}] is a {type(found).__name__}, where a dict is expected that `phg2st_sc.pp.extract_embeddings` "
            f"writes: keep yours under another name, and `del data.uns[{slot!r}]`."
        )
        raise TypeError(msg)
    return {str(key): record for key, record in found.items() if isinstance(record, Mapping)}
