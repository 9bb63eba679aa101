"""Ways to damage a saved model, and ways of somebody who knows how it is checked to make one that does harm."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

SETTINGS, ARRAYS = "model.json", "arrays.safetensors"
Rng = np.random.Generator
Change = Callable[[Path, Rng, Path], str]
"""Changes a folder, with another folder and a generator at hand; says what it did."""

PATHS = (
    "/etc/passwd",
    "../../../etc/passwd",
    "~/.ssh/id_rsa",
    "hf-hub:someone/evil",
    "local-dir:/etc",
    "http://127.0.0.1:9/x",
)
TEXTS = (*PATHS, "", "x" * 100_000, "\x1b[31mred\x07", "__class__", "a\x00b", "\ud800")
NUMBERS = (-1, 0, -1e9, 10**9, 10**18, 10**400, 1e-320, 1e300, float("nan"), float("inf"), True, "7", None, [], {})


def seal(folder: Path) -> None:
    """Hashes of what the folder holds now."""
    record = json.loads((folder / SETTINGS).read_text())
    record.pop("checksums", None)
    text = json.dumps(record, sort_keys=True, separators=(",", ":"))
    sums = {"arrays": sha256((folder / ARRAYS).read_bytes()).hexdigest(), "settings": sha256(text.encode()).hexdigest()}
    (folder / SETTINGS).write_text(json.dumps({**record, "checksums": sums}))


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to everything in a tree of JSON."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree[:3]) if isinstance(tree, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


def _holder(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        tree = tree[key]
    return tree


def _settings(folder: Path) -> dict[str, Any]:
    return json.loads((folder / SETTINGS).read_text())


def _write(folder: Path, record: Any) -> None:
    (folder / SETTINGS).write_text(json.dumps(record))


def _one(rng: Rng, options: Any) -> Any:
    options = list(options)
    return options[int(rng.integers(len(options)))]


# --- damage -----------------------------------------------------------------------------------------------------------
def flip(folder: Path, rng: Rng, _: Path) -> str:
    """One bit."""
    path = folder / _one(rng, (SETTINGS, ARRAYS))
    content = bytearray(path.read_bytes())
    at, bit = int(rng.integers(len(content))), int(rng.integers(8))
    content[at] ^= 1 << bit
    path.write_bytes(bytes(content))
    return f"bit {bit} of byte {at} of {path.name}"


def truncate(folder: Path, rng: Rng, _: Path) -> str:
    """The end is missing."""
    path = folder / _one(rng, (SETTINGS, ARRAYS))
    size = int(rng.integers(path.stat().st_size))
    os.truncate(path, size)
    return f"{path.name} ends after {size} bytes"


def zeros(folder: Path, rng: Rng, _: Path) -> str:
    """A hole of zeros, as a full disk leaves it."""
    path = folder / _one(rng, (SETTINGS, ARRAYS))
    content = bytearray(path.read_bytes())
    at = int(rng.integers(len(content)))
    content[at : at + 512] = bytes(len(content[at : at + 512]))
    path.write_bytes(bytes(content))
    return f"zeros from byte {at} of {path.name}"


def mixed(folder: Path, rng: Rng, other: Path) -> str:
    """One file is of another model."""
    alike = (folder / ARRAYS).read_bytes() == (
        other / ARRAYS
    ).read_bytes()  # as of untrained ones: settings are all there is
    name = ARRAYS if alike else _one(rng, (SETTINGS, ARRAYS))
    (folder / name).write_bytes((other / name).read_bytes())
    return f"{name} of {other.name}"


def without_file(folder: Path, rng: Rng, _: Path) -> str:
    """One file is missing."""
    name = _one(rng, (SETTINGS, ARRAYS))
    (folder / name).unlink()
    return f"no {name}"


def without_name(folder: Path, rng: Rng, _: Path) -> str:
    """A name of the settings is missing."""
    record = _settings(folder)
    path = _one(rng, (one for one in places(record) if isinstance(one[-1], str)))
    _holder(record, path).pop(path[-1])
    _write(folder, record)
    return f"no {path}"


def without_array(folder: Path, rng: Rng, _: Path) -> str:
    """An array is missing, or exchanged with another."""
    arrays = load_file(folder / ARRAYS)
    if not arrays:
        return without_name(folder, rng, _)
    one, other = _one(rng, arrays), _one(rng, arrays)
    arrays[one], arrays[other] = arrays[other], arrays[one]
    if one == other:
        arrays.pop(one)
    save_file(arrays, folder / ARRAYS)
    return f"{one} is {other}"


def other_value(folder: Path, rng: Rng, _: Path) -> str:
    """Another value in the settings."""
    record = _settings(folder)
    path = _one(rng, places(record))
    _holder(record, path)[path[-1]] = value = _one(rng, (*NUMBERS, *TEXTS))
    _write(folder, record)
    return f"{path} is {value!r:.40}"


DAMAGES: tuple[Change, ...] = (flip, truncate, zeros, mixed, without_file, without_name, without_array, other_value)


# --- harm -------------------------------------------------------------------------------------------------------------
def sealed(change: Change) -> Change:
    """The same by somebody who writes the hashes anew."""

    def changed(folder: Path, rng: Rng, other: Path) -> str:
        said = change(folder, rng, other)
        if all((folder / name).is_file() for name in (SETTINGS, ARRAYS)):
            with suppress(ValueError):
                seal(folder)
        return f"sealed: {said}"

    return changed


def numbers(folder: Path, rng: Rng, _: Path) -> str:
    """Every number may be anything."""
    record = _settings(folder)
    found = [p for p in places(record) if isinstance(_holder(record, p)[p[-1]], (int, float)) and p[0] != "schema"]
    path = _one(rng, found or [("schema",)])
    _holder(record, path)[path[-1]] = value = _one(rng, NUMBERS)
    _write(folder, record)
    return f"{path} is {value!r:.40}"


def texts(folder: Path, rng: Rng, _: Path) -> str:
    """Every text may be a path, or anything."""
    record = _settings(folder)
    found = [p for p in places(record) if isinstance(_holder(record, p)[p[-1]], str) or p[0] == "parameters"]
    path = _one(rng, [p for p in found if p[0] != "checksums"])
    _holder(record, path)[path[-1]] = value = _one(rng, TEXTS)
    _write(folder, record)
    return f"{path} is {value!r:.40}"


def settings(folder: Path, rng: Rng, _: Path) -> str:
    """Settings that would have something read, written, run or allocated."""
    record = _settings(folder)
    more = {
        "resume_from": _one(rng, PATHS),
        "checkpoint_dir": "/var/tmp",
        "weights": _one(rng, PATHS),
        "inputs": "patches",
        "preset": "paper",
        "network": {"backbone": _one(rng, PATHS), "width": 10**9},
        "training": {"max_epochs": 10**9},
        "max_epochs": 10**9,
        "fine_tune": 10**9,
        "accelerator": "cuda",
        "devices": [10**9],
        "n_neighbors": 10**12,
        "n_components": 10**12,
        "candidates": ["histogene", "stnet"],
        "fusion": "paper",
    }
    names = rng.choice(list(more), 3, replace=False)
    record["parameters"] |= {name: more[name] for name in names}
    if rng.integers(2):
        record["state"] = {"genes": None, "record": {}}
        save_file({}, folder / ARRAYS)
    _write(folder, record)
    return f"settings {', '.join(names)}"


def values(folder: Path, rng: Rng, _: Path) -> str:
    """Arrays with other values, kinds or shapes, and settings that say so."""
    arrays = load_file(folder / ARRAYS)
    if not arrays:
        return numbers(folder, rng, _)
    name = _one(rng, arrays)
    array, how = arrays[name], int(rng.integers(7))
    flat = array.reshape(-1)
    if how < 3 and flat.size and array.dtype.kind == "f":
        flat[int(rng.integers(flat.size))] = (np.nan, -np.inf, 1e38)[how]
    elif how == 3:
        array = -array if array.dtype.kind == "f" else array[::-1].copy()
    elif how == 4:
        array = array.astype(_one(rng, (np.float16, np.int64, np.uint8, np.float64)))
    elif how == 5:
        array = np.concatenate([array, array])
    else:
        array = array.T.copy()
    arrays[name] = np.ascontiguousarray(array)
    save_file(arrays, folder / ARRAYS)
    record = _settings(folder)
    holder = record["state"]
    *parents, last = name.split(".")
    try:
        for part in parents:
            holder = holder[int(part)] if isinstance(holder, list) else holder[part]
        if isinstance(holder[last], str):
            holder[last] = f"{array.dtype}{list(array.shape)}"
    except (KeyError, IndexError, TypeError, ValueError):
        pass
    _write(folder, record)
    return f"{name} changed in way {how}"


def genes(folder: Path, rng: Rng, _: Path) -> str:
    """Genes that occur twice, are none, too many, or no text."""
    record = _settings(folder)
    known = record["state"].get("genes") or ["a", "b"]
    options = (
        [known[0]] * len(known),
        None,
        [*known, "more"],
        [],
        [1] * len(known),
        ["\x1b[2J"] * len(known),
        known[::-1],
    )
    record["state"]["genes"] = _one(rng, options)
    _write(folder, record)
    return f"genes are {record['state']['genes']!r:.40}"


def texts_of_json(folder: Path, rng: Rng, _: Path) -> str:
    """JSON that costs memory or time to read, or says two things."""
    text = (folder / SETTINGS).read_text()
    options = {
        "deep": '{"a":' + "[" * 200_000 + "]" * 200_000 + "}",
        "rather deep": text[:-1] + ',"card":' + "[" * 500 + "]" * 500 + "}",
        "long": '{"a":"' + "x" * (1 << 26) + '"}',
        "many": "[" + "[]," * 5_000_000 + "[]]",
        "twice": text[:-1] + ',"method":"idw"}',
        "digits": text.replace(" 1", " " + "1" * 5000, 1),
        "another": '"\\ud800"',
        "nothing": "",
        "no text": "\x00" * 99,
    }
    name = _one(rng, options)
    (folder / SETTINGS).write_text(options[name])
    return f"JSON: {name}"


def headers(folder: Path, rng: Rng, _: Path) -> str:
    """Headers of the arrays' file that promise what is not there."""

    def with_header(header: Any, length: int | None = None, rest: bytes = b"") -> bytes:
        content = header if isinstance(header, bytes) else json.dumps(header).encode()
        return (len(content) if length is None else length).to_bytes(8, "little") + content + rest

    huge = {"dtype": "F64", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 8]}
    options = (
        with_header({}, length=(1 << 63) - 1),
        with_header({"levels": huge}, rest=bytes(8)),
        with_header({"levels": {**huge, "shape": [-1]}}, rest=bytes(8)),
        with_header({"levels": {**huge, "shape": [0, 1 << 62], "data_offsets": [0, 0]}}),
        with_header({"levels": {**huge, "dtype": "F8_E4M3", "shape": [8]}}, rest=bytes(8)),
        with_header({"levels": {**huge, "dtype": "BF16", "shape": [4]}}, rest=bytes(8)),
        with_header(b"[" * 100_000),
        with_header({str(n): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(100_000)}),
        b"",
    )
    (folder / ARRAYS).write_bytes(_one(rng, options))
    return "header of the arrays"


def links(folder: Path, rng: Rng, other: Path) -> str:
    """Links that lead out of the folder, and things that are no files."""
    name, how = _one(rng, (SETTINGS, ARRAYS)), int(rng.integers(5))
    (folder / name).unlink()
    if how == 3:
        os.mkfifo(folder / name)
    elif how == 4:
        (folder / name).mkdir()
    else:
        (folder / name).symlink_to(("/etc/passwd", "/dev/zero", other / name)[how])
    return f"{name} is no file of the folder ({how})"


def large(folder: Path, rng: Rng, _: Path) -> str:
    """A file that is far larger than it takes on the disk."""
    os.truncate(folder / _one(rng, (SETTINGS, ARRAYS)), 1 << 42)
    return "a file of 4 TB"


HARMS: tuple[Change, ...] = (
    sealed(numbers),
    sealed(numbers),
    sealed(texts),
    sealed(settings),
    sealed(settings),
    sealed(values),
    sealed(values),
    sealed(genes),
    sealed(without_name),
    sealed(without_array),
    sealed(mixed),
    sealed(headers),
    texts_of_json,
    links,
    large,
)
