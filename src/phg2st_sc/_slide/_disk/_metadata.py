"""The few files of a store that list what is in it: columns of a frame, consolidated metadata."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_V3, _V2, _V2_GROUP, _V2_ALL = "zarr.json", ".zattrs", ".zgroup", ".zmetadata"
_CONSOLIDATED = "consolidated_metadata"
_ORDER = "column-order"


def is_group(folder: Path) -> bool:
    """Whether a folder is a group of a store."""
    return (folder / _V3).is_file() or (folder / _V2_GROUP).is_file()


def is_consolidated(group: Path) -> bool:
    """Whether a group has the metadata of all that is in it."""
    if (group / _V2_ALL).is_file():
        return True
    file = group / _V3
    return file.is_file() and _read(file).get(_CONSOLIDATED) is not None


def metadata_files(group: Path, *, is_frame: bool) -> list[Path]:
    """Files of a group that an exchange may change."""
    names = (_V3, _V2, _V2_ALL) if is_frame else (_V3, _V2_ALL)
    return [group / name for name in names if (group / name).is_file()]


def bare(file: Path, hidden: Sequence[str] = ()) -> bytes | None:
    """Content of a metadata file while things are exchanged; ``None`` where it is to be absent.

    Parameters
    ----------
    file
        As it is now.
    hidden
        Columns that must not be listed, as they come and go.
    """
    if file.name == _V2_ALL:
        return None
    content = _read(file)
    content.pop(_CONSOLIDATED, None)
    if hidden:
        attributes = _attributes(file, content)
        attributes[_ORDER] = [name for name in attributes[_ORDER] if name not in hidden]
    return _bytes(content)


def columns(frame: Path) -> list[str]:
    """Columns of a frame, in their order."""
    file = _listing(frame)
    return [str(name) for name in _attributes(file, _read(file))[_ORDER]]


def listing(frame: Path, order: Sequence[str]) -> tuple[Path, bytes]:
    """File of a frame that lists its columns, and what it is to hold."""
    file = _listing(frame)
    content = _read(file)
    _attributes(file, content)[_ORDER] = list(order)
    return file, _bytes(content)


def consolidated(store: Path, level: str, hidden: Callable[[str], bool]) -> tuple[Path, bytes]:
    """File of a group that holds the metadata of all that is in it, and what it is to hold now.

    Parameters
    ----------
    store
        Root folder.
    level
        Path of the group in it.
    hidden
        Whether a path in the store is to be passed over.
    """
    import zarr
    from zarr.storage import LocalStore

    class Listed(LocalStore):
        """Reads the store, and keeps what would be written to it."""

        async def set(self, key: str, value: Any) -> None:
            written[key] = value.to_bytes()

        async def delete(self, key: str) -> None:
            """Delete nothing."""

        async def list_dir(self, prefix: str) -> Any:
            async for name in super().list_dir(prefix):
                if not hidden(f"{prefix}/{name}".lstrip("/")):
                    yield name

    written: dict[str, bytes] = {}
    group = store / level
    name, zarr_format = (_V3, 3) if (group / _V3).is_file() else (_V2_ALL, 2)
    with warnings.catch_warnings():
        # parquet files and our own folder are no zarr, and consolidated metadata no part of its third version: no news
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(Listed(store), path=level, zarr_format=zarr_format)
    return group / name, written[f"{level}/{name}".lstrip("/")]


def _listing(frame: Path) -> Path:
    return frame / _V3 if (frame / _V3).is_file() else frame / _V2


def _attributes(file: Path, content: dict[str, Any]) -> dict[str, Any]:
    attributes: dict[str, Any] = content["attributes"] if file.name == _V3 else content
    return attributes


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _bytes(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=2).encode()
