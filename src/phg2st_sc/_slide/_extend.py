"""Append rows for places without a spot to a container of either kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._extend_spatialdata import extend_spatialdata
from ._extend_table import Added, extend_table


def extend(data: Any, added: list[Added], *, slide_key: str | None, record: Mapping[str, Any]) -> Any:
    """Return a new object of the kind of ``data`` with the new places as rows."""
    from anndata import AnnData

    if isinstance(data, AnnData):
        return extend_table(data, added, slide_key=slide_key, obs={}, record=record)
    return extend_spatialdata(data, added, slide_key=slide_key, record=record)
