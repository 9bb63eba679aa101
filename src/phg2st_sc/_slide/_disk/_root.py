"""The store that a folder lies in."""

from __future__ import annotations

import json
import os
from pathlib import Path

from ... import _keys
from ._hold import WORK

KEPT_IN_STORE = ".phg2st-embeddings"
"""Folder in a store for embeddings on their way."""
_GROUP_FILES = ("zarr.json", ".zgroup")
_ELEMENTS = ("images", "labels", "points", "shapes", "tables")
_VERSION = "spatialdata_software_version"


def store_of(path: Path) -> Path | None:
    """Return the root folder of the SpatialData store that a folder is, or lies in; ``None`` where there is none.

    Parameters
    ----------
    path
        The folder, without links on the way.
    """
    around = (path, *path.parents)
    for folder in around:
        if os.path.lexists(folder / WORK) or _VERSION in _root_record(folder):
            return folder
    # stores of early releases say nothing of themselves; elements have groups of such names in them too, so the outermost
    older = [folder for folder in around if _is_group(folder) and any((folder / name).is_dir() for name in _ELEMENTS)]
    return older[-1] if older else None


def _is_group(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _GROUP_FILES)


def _root_record(folder: Path) -> dict[str, object]:
    """What a folder's metadata say of a SpatialData, in either version of zarr."""
    for name in ("zarr.json", ".zattrs"):
        try:
            record = json.loads((folder / name).read_text(encoding="utf-8"))
            found = (record["attributes"] if name == "zarr.json" else record)[_keys.SPATIALDATA_ATTRS]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(found, dict):
            return found
    return {}
