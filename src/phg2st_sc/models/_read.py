"""Read the folder of a saved model, which anybody may have written: bounded, checked, nothing in it followed or run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from .._json import content_hash, has_odd_number, parse_json, without_odd_numbers
from .._text import quoted

SETTINGS = "model.json"
ARRAYS = "arrays.safetensors"
PENDING_SETTINGS, PENDING_ARRAYS = ".model.json.new", ".arrays.safetensors.new"
"""Names under which a save writes both before it exchanges them."""
SCHEMA = 3
CHECKSUMS = "checksums"
_KEYS = {"schema": int, "method": str, "parameters": dict, "state": dict, "card": dict}
_OPTIONAL = {"versions": dict, CHECKSUMS: dict}
_FIRST_WITH_CHECKSUMS = 3
_MOST_SETTINGS = 1 << 25
_TRIES = 3
_SHOWN = 600
_LONGEST_NAME = 100

Contents = tuple[dict[str, Any], dict[str, NDArray[Any]]]


class _MixedError(Exception):
    """The two files are not of one model."""


def read_folder(folder: Path) -> Contents:
    """Settings and arrays of a folder.

    Raises
    ------
    FileNotFoundError
        If it holds no saved model.
    ValueError
        If it is damaged, was changed after it was saved, or was written by a later version of the package.
    """
    for _ in range(_TRIES):  # another process may be replacing the model
        try:
            return _contents(folder)
        except _MixedError:
            continue
    raise damaged(
        folder,
        f"{ARRAYS} is not what {SETTINGS} says: one of the two is incomplete, was changed, or is of another model.",
    )


def _contents(folder: Path) -> Contents:
    for name in (SETTINGS, ARRAYS):
        if not (folder / name).is_file():
            msg = (
                f"{folder} holds no saved model: expected {SETTINGS} and {ARRAYS}, as `model.save(folder)` writes them."
            )
            raise FileNotFoundError(msg)
    record = _settings(folder, SETTINGS)
    content = _content(folder, ARRAYS, _memory())
    found, wanted = sha256(content).hexdigest(), record.get(CHECKSUMS, {}).get("arrays")
    if wanted not in (found, None):
        record = _pending(folder, found)
    return record, _arrays(folder, content)


def _pending(folder: Path, found: str) -> dict[str, Any]:
    """Settings that a killed save had not yet moved into place, where they are those of the arrays."""
    if (folder / PENDING_SETTINGS).is_file():
        record = _settings(folder, PENDING_SETTINGS)
        if record.get(CHECKSUMS, {}).get("arrays") == found:
            return record
    raise _MixedError


def is_settled(folder: Path, settings: str) -> bool:
    """Whether settings of that name are whole, and those of the arrays in the folder."""
    try:
        record = _settings(folder, settings)
    except (OSError, ValueError):
        return False
    return bool(record.get(CHECKSUMS, {}).get("arrays") == arrays_hash(folder / ARRAYS))


def is_ours(folder: Path) -> bool:
    """Whether a folder holds a saved model, be it damaged, so that saving over it loses nothing else."""
    if not (folder / SETTINGS).is_file():
        return False
    if (folder / ARRAYS).is_file():
        return True
    try:
        _settings(folder, SETTINGS)
    except (OSError, ValueError):
        return False
    return True


def arrays_hash(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


# --- one file ---------------------------------------------------------------------------------------------------------
def _content(folder: Path, name: str, most: int) -> bytes:
    """Bytes of a file that lies in the folder, and not where a link leads."""
    path, home = (folder / name).resolve(), folder.resolve()
    of_the_hub = home.parent.name == "snapshots" and path.parent == home.parent.parent / "blobs"
    if path.parent != home and not of_the_hub:
        msg = f"{name} is a link to a file outside of the folder, which is not followed."
        raise damaged(folder, msg)
    size = path.stat().st_size
    if size > most:
        raise damaged(folder, f"{name} has {size:,} bytes, more than there is place for ({most:,}).")
    return path.read_bytes()


def _memory() -> int:
    import psutil

    return int(psutil.virtual_memory().total)


def _settings(folder: Path, name: str) -> dict[str, Any]:
    content = _content(folder, name, _MOST_SETTINGS)
    try:
        record = parse_json(content)
    except UnicodeDecodeError as error:
        raise damaged(folder, f"{name} is not readable JSON (it is no text).") from error
    except ValueError as error:
        raise damaged(folder, f"{name} is not readable JSON ({error}).") from error
    if not isinstance(record, dict) or not _has_keys(record):
        msg = f"{folder / name} was not written by `model.save(folder)` of phg2st-sc."
        raise ValueError(msg)
    if len(record["method"]) > _LONGEST_NAME:
        raise damaged(folder, f"{name} names the method {record['method']!r:.80}.")
    if not 1 <= record["schema"] <= SCHEMA:
        msg = f"{folder} has schema {record['schema']}, and this version reads 1 to {SCHEMA}: update phg2st-sc."
        raise ValueError(msg)
    if surplus := set(record) - set(_KEYS) - set(_OPTIONAL):
        raise damaged(folder, f"{name} has no place for {quoted(sorted(surplus))}.")
    _check_content(folder, name, record)
    record["card"] = without_odd_numbers(record["card"])
    if "record" in record["state"]:
        record["state"]["record"] = without_odd_numbers(record["state"]["record"])
    if has_odd_number(record):
        raise damaged(folder, f"{name} holds numbers that are not finite.")
    return record


def _has_keys(record: Mapping[str, Any]) -> bool:
    return (
        all(isinstance(record.get(name), kind) for name, kind in _KEYS.items())
        and all(isinstance(record[name], kind) for name, kind in _OPTIONAL.items() if name in record)
        and not isinstance(record["schema"], bool)
    )


def _check_content(folder: Path, name: str, record: Mapping[str, Any]) -> None:
    """Settings say what they said when they were saved; those before schema 3 have no hash that could tell."""
    if CHECKSUMS not in record and record["schema"] < _FIRST_WITH_CHECKSUMS:
        return
    sums = record.get(CHECKSUMS, {})
    rest = {key: value for key, value in record.items() if key != CHECKSUMS}
    whole = set(sums) == {"arrays", "settings"} and isinstance(sums["arrays"], str)
    if not whole or sums["settings"] != content_hash(rest):
        raise damaged(folder, f"{name} was changed after it was saved, by an error on the way or by hand.")


def _arrays(folder: Path, content: bytes) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError, MemoryError, TypeError, ValueError) as error:
        raise damaged(folder, f"{ARRAYS} is not readable ({error!s:.200}).") from error


def damaged(folder: str | os.PathLike[str], reason: str) -> ValueError:
    """The error of a folder that cannot be trusted."""
    return ValueError(f"The saved model in {folder} is damaged. {reason:.{_SHOWN}} Copy it again, or save it anew.")
