"""Finished units of a benchmark on disk, so that an interrupted one is taken up again."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from .._files import only_writer, write_whole
from .._json import parse_json
from .._text import quoted
from .._warn import warn_user
from ..models import get_method
from ._run import COLUMNS

_PLAN, _UNITS, _TABLE = "benchmark.json", "units", "benchmark.csv"
_UNIT, _FORMER_UNIT = ".unit.csv", ".csv"
"""Endings of finished units: with a line that says their hash, and of earlier versions without."""
_HASH_LINE = "# sha256 "
_MOST_BYTES = 1 << 26
_METHODS = "methods"
_TEXTS = ("protocol", "fold", "section", "patient", "method", "learned", "regime", "metric", "error")
_PAPER, _FORMER_PAPER = "phg2st_paper", ("phg2st", "'paper'")
_OF_PHG2ST_ALONE = ("fusion", "n_components", "correction", "use_network", "without")


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
        if folder.is_file():
            raise FileExistsError(_no_benchmark(folder))
        _check_within(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with only_writer(folder):  # another process may be making the same benchmark
            if (folder / _PLAN).is_file():
                plan = _merged(_read_plan(folder), plan, folder)
            elif any(not path.name.startswith(f".{_PLAN}.") for path in folder.iterdir()):
                raise FileExistsError(_no_benchmark(folder))
            _write(folder / _PLAN, json.dumps(plan, indent=1))
            (folder / _UNITS).mkdir(exist_ok=True)

    def check(self, units: Iterable[Mapping[str, Any]]) -> None:
        """Warn, once, of finished units that are damaged; :meth:`get` takes them for unfinished."""
        there = {path: unit for unit in units if (path := self._path(unit)) is not None}
        damaged = [path.name for path, unit in there.items() if _read_unit(path, unit) is None]
        if damaged:
            msg = (
                f"{len(damaged)} of {len(there)} finished units in {self._folder} are damaged (incomplete, overwritten or "
                f"changed, e.g. {damaged[0]!r}): they are run again."
            )
            warn_user(msg)

    def get(self, unit: Mapping[str, Any]) -> pd.DataFrame | None:
        """Rows of a unit that was finished; ``None`` of one that was not."""
        if self._folder is None:
            return self._memory.get(_name(unit))
        path = self._path(unit)
        return None if path is None else _read_unit(path, unit)

    def _path(self, unit: Mapping[str, Any]) -> Path | None:
        """File of a finished unit, also of one that an earlier version wrote."""
        if self._folder is None:
            return None
        paths = [self._folder / _UNITS / (_name(unit) + ending) for ending in (_UNIT, _FORMER_UNIT)]
        return next((path for path in paths if path.is_file() or path.is_symlink()), None)

    def put(self, unit: Mapping[str, Any], rows: pd.DataFrame) -> None:
        """Keep the rows of a finished unit."""
        if self._folder is None:
            self._memory[_name(unit)] = rows
        else:
            path = self._folder / _UNITS / (_name(unit) + _UNIT)
            text = rows.to_csv(index=False)
            _write(path, f"{text}{_HASH_LINE}{_hash(path, text)}\n")

    def finish(self, table: pd.DataFrame) -> None:
        """Write all rows as one table."""
        if self._folder is not None:
            _write(self._folder / _TABLE, table.to_csv(index=False))


# --- units ------------------------------------------------------------------------------------------------------------
def _read_unit(path: Path, unit: Mapping[str, Any]) -> pd.DataFrame | None:
    """Rows of a unit as they were written, to the last bit; ``None`` where they are not whole, of another, or lie elsewhere."""
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            return None
        text = path.read_bytes().decode("utf-8")
        if path.name.endswith(_UNIT):
            text, _, said = text.rpartition(_HASH_LINE)
            if said != f"{_hash(path, text)}\n":
                return None
        rows = _parsed(text)
    except (OSError, ValueError, OverflowError):
        return None
    return rows if len(rows) and text.endswith("\n") and _is_of(rows, unit) else None


def _parsed(text: str) -> pd.DataFrame:
    """A table; texts such as "NA" stay texts."""
    if "\0" in text or not text.startswith(",".join(COLUMNS) + "\n"):
        raise ValueError("It is no unit.")
    rows = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys((*_TEXTS, "value"), str), keep_default_na=False)
    # float() reads back the very number that was written, as read_csv does not
    return rows.assign(value=[float(value or "nan") for value in rows["value"]])


def _is_of(rows: pd.DataFrame, unit: Mapping[str, Any]) -> bool:
    """Whether rows are of a unit, as far as they say."""
    return all((rows[name].astype(str) == str(unit[name])).all() for name in ("fold", "learned", "seed"))


def _hash(path: Path, text: str) -> str:
    """Hash of rows and of the unit that they are of."""
    return sha256(f"{path.name}\n{text}".encode()).hexdigest()


def _name(unit: Mapping[str, Any]) -> str:
    return sha256(json.dumps(unit, sort_keys=True).encode()).hexdigest()[:24]


def _write(path: Path, text: str) -> None:
    write_whole(path, lambda part: part.write_text(text, encoding="utf-8", newline=""))


# --- the plan ---------------------------------------------------------------------------------------------------------
def _no_benchmark(folder: Path) -> str:
    return f"{folder} exists and holds no benchmark: choose another folder for `out`."


def _check_within(folder: Path) -> None:
    """Nothing is read or written where a link in the folder leads."""
    for name in (_PLAN, _UNITS):
        if (folder / name).is_symlink():
            msg = f"{folder / name} is a link, which is not followed: put what it leads to in its place, or choose another folder for `out`."
            raise ValueError(msg)


def _read_plan(folder: Path) -> dict[str, Any]:
    try:
        if (size := (folder / _PLAN).stat().st_size) > _MOST_BYTES:
            raise ValueError(f"it has {size:,} bytes")
        plan = parse_json((folder / _PLAN).read_bytes())
        if not isinstance(plan, dict) or not isinstance(plan.get(_METHODS), dict):
            raise ValueError("it is no plan of a benchmark")
        if not all(isinstance(one, dict) and isinstance(one.get("method"), str) for one in plan[_METHODS].values()):
            raise ValueError("its methods are none")
    except ValueError as error:
        msg = (
            f"{folder / _PLAN} is damaged ({error!s:.200}), and without it nobody knows what the results in the folder are of. Restore "
            "the file from a copy, or choose another folder for `out`."
        )
        raise ValueError(msg) from error
    return plan


def _merged(before: dict[str, Any], now: dict[str, Any], folder: Path) -> dict[str, Any]:
    for key in now:
        if key != _METHODS and before.get(key) != now[key]:
            msg = (
                f"{folder} holds a benchmark with another `{key}`{_difference(before.get(key), now[key])}. Call with the same, or "
                "choose another folder for `out`."
            )
            raise ValueError(msg)
    for label, settings in now[_METHODS].items():
        there = _of_today(get_method(settings["method"]).under_new_names(before[_METHODS].get(label, settings)))
        wrong = [name for name in settings if there.get(name) != settings[name]]
        if wrong:
            msg = (
                f"{folder} holds results of method {label!r:.80} with {wrong[0]}={there.get(wrong[0])!s:.80}, now it is "
                f"{settings[wrong[0]]!s:.80}: give this one another label, or choose another folder for `out`."
            )
            raise ValueError(msg)
    return {**now, _METHODS: {**before[_METHODS], **now[_METHODS]}}


def _of_today(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Settings of a method in a plan; the published network was a form of the default method, with the settings of both."""
    if (settings.get("method"), settings.get("fusion")) != _FORMER_PAPER:
        return settings
    kept = {name: value for name, value in settings.items() if name not in _OF_PHG2ST_ALONE}
    return {**kept, "method": _PAPER, "preset": "'default'" if kept.get("preset") == "None" else kept.get("preset")}


def _difference(before: Any, now: Any) -> str:
    """Where two values of a plan differ: by name in a dict, as hashes mean nothing to anybody."""
    if isinstance(before, dict) and isinstance(now, dict):
        names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        return f" (it differs in {quoted(names)})"
    return f": {_short(before)} there, {_short(now)} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
