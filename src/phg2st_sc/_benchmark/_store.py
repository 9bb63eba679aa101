"""Finished units of a benchmark on disk, so that an interrupted one is taken up again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from .._text import quoted
from ..models import get_method

_PLAN, _UNITS, _TABLE = "benchmark.json", "units", "benchmark.csv"
_METHODS = "methods"
_TEXTS = ("protocol", "fold", "section", "patient", "method", "learned", "regime", "metric", "error")


class UnitStore:
    """A folder with one table per finished unit, or memory where none is given.

    Parameters
    ----------
    folder
        Made where it does not exist.
    plan
        What the benchmark is, in plain values. Methods may be added to it in later calls; anything else must stay.

    Raises
    ------
    ValueError
        If the folder holds another benchmark.
    FileExistsError
        If it is a file, or holds other things.
    """

    def __init__(self, folder: str | os.PathLike[str] | None, plan: Mapping[str, Any]) -> None:
        self._folder = None if folder is None else Path(folder).expanduser()
        self._memory: dict[str, pd.DataFrame] = {}
        if self._folder is not None:
            self._open(self._folder, json.loads(json.dumps(plan)))

    def _open(self, folder: Path, plan: dict[str, Any]) -> None:
        if folder.is_file() or (folder.is_dir() and any(folder.iterdir()) and not (folder / _PLAN).is_file()):
            msg = f"{folder} exists and holds no benchmark: choose another folder for `out`."
            raise FileExistsError(msg)
        if (folder / _PLAN).is_file():
            plan = _merged(json.loads((folder / _PLAN).read_text(encoding="utf-8")), plan, folder)
        (folder / _UNITS).mkdir(parents=True, exist_ok=True)
        _write_whole(folder / _PLAN, json.dumps(plan, indent=1))

    def get(self, unit: Mapping[str, Any]) -> pd.DataFrame | None:
        """Rows of a unit that was finished; ``None`` of one that was not."""
        name = _name(unit)
        if self._folder is None:
            return self._memory.get(name)
        path = self._folder / _UNITS / name
        return _read(path) if path.is_file() else None

    def put(self, unit: Mapping[str, Any], rows: pd.DataFrame) -> None:
        """Keep the rows of a finished unit."""
        if self._folder is None:
            self._memory[_name(unit)] = rows
        else:
            _write_whole(self._folder / _UNITS / _name(unit), rows.to_csv(index=False))

    def finish(self, table: pd.DataFrame) -> None:
        """Write all rows as one table."""
        if self._folder is not None:
            _write_whole(self._folder / _TABLE, table.to_csv(index=False))


def _read(path: Path) -> pd.DataFrame:
    """A table as it was written, to the last bit; texts such as "NA" stay texts."""
    texts = dict.fromkeys(_TEXTS, str)
    return pd.read_csv(
        path, dtype=texts, keep_default_na=False, na_values={"value": [""]}, float_precision="round_trip"
    )


def _merged(before: dict[str, Any], now: dict[str, Any], folder: Path) -> dict[str, Any]:
    for key in now:
        if key != _METHODS and before.get(key) != now[key]:
            msg = (
                f"{folder} holds a benchmark with another `{key}`{_difference(before.get(key), now[key])}. Call with the same, or "
                "choose another folder for `out`."
            )
            raise ValueError(msg)
    for label, settings in now[_METHODS].items():
        there = get_method(settings["method"]).under_new_names(before[_METHODS].get(label, settings))
        wrong = [name for name in settings if there.get(name) != settings[name]]
        if wrong:
            msg = (
                f"{folder} holds results of method {label!r} with {wrong[0]}={there.get(wrong[0])}, now it is "
                f"{settings[wrong[0]]}: give this one another label, or choose another folder for `out`."
            )
            raise ValueError(msg)
    return {**now, _METHODS: {**before[_METHODS], **now[_METHODS]}}


def _difference(before: Any, now: Any) -> str:
    """Where two values of a plan differ: by name in a dict, as hashes mean nothing to anybody."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return f" (it differs in {quoted(names)})"
    return f": {_short(before)} there, {_short(now)} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _name(unit: Mapping[str, Any]) -> str:
    return sha256(json.dumps(unit, sort_keys=True).encode()).hexdigest()[:24] + ".csv"


def _write_whole(path: Path, text: str) -> None:
    """Write beside and move, so that an interruption leaves no part of a file."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
