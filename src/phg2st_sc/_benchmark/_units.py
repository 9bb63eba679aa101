"""The units of a benchmark: the references, or a method with a seed, in a fold; run one after the other, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pandas as pd

from .._cluster import run_tasks
from .._progress import bar
from .._reading import Reading
from .._slide import by_path, read_again
from .._text import quoted
from ._plan import Fold, MethodSpec, Section, open_sections, picture_mark, section_mark
from ._run import HONEST, REFERENCE, FoldData, Scoring, guarded, run_method, run_references
from ._store import UnitStore

Marks = Mapping[str, Mapping[str, str]]
"""Hashes of sections by name, by what they are of: ``"sections"`` and ``"pictures"``."""


@dataclass(frozen=True)
class Unit:
    """What is run, and kept, as a whole.

    Attributes
    ----------
    labels
        ``fold``, ``method``, ``learned`` and ``seed``.
    spec
        The method; ``None`` for the references.
    protocols
        Of which rows are made.
    """

    labels: Mapping[str, Any]
    spec: MethodSpec | None
    protocols: tuple[str, ...]

    @property
    def fold(self) -> str:
        """Name of the fold."""
        return str(self.labels["fold"])

    def run(self, data: FoldData) -> tuple[pd.DataFrame, bool]:
        """Its rows, and whether they are for good; see :func:`guarded`."""
        run: Callable[[], tuple[pd.DataFrame, bool]]
        if self.spec is None:
            run = partial(run_references, data)
        else:
            run = partial(run_method, data, self.spec, int(self.labels["seed"]), self.protocols)
        return guarded(run, self.labels)


def make_units(
    folds: Sequence[Fold], specs: Sequence[MethodSpec], seeds: Sequence[int], protocols: tuple[str, ...]
) -> list[Unit]:
    """Units in order."""
    units = []
    for fold in folds:
        if HONEST in protocols:
            labels = {"fold": fold.name, "method": REFERENCE, "learned": REFERENCE, "seed": 0}
            units.append(Unit(labels, None, protocols))
        for spec in specs:
            for seed in seeds:
                labels = {"fold": fold.name, "method": spec.label, "learned": spec.learned, "seed": int(seed)}
                units.append(Unit(labels, spec, protocols))
    return units


def run_units(
    units: Sequence[Unit], data: Mapping[str, FoldData], store: UnitStore, *, progress: bool | None
) -> pd.DataFrame:
    """Rows of all units: those that are kept, and those that are made, here, one after the other."""
    tables = []
    with bar(progress=progress, total=len(units)) as shown:
        for number, unit in enumerate(units, start=1):
            shown.set_postfix_str(f"fold {unit.fold}, {unit.labels['method']}", refresh=True)
            rows = store.get(unit.labels)
            tables.append(_kept(store, unit, unit.run(data[unit.fold])) if rows is None else rows)
            if number == len(units) or units[number].fold != unit.fold:
                data[unit.fold].forget()
            shown.update()
    return _joined(tables)


def run_units_on(
    client: Any, units: Sequence[Unit], sections: SentSections, store: UnitStore, *, progress: bool | None
) -> pd.DataFrame:
    """The same on the workers of a client, each unit a task; they are kept here, as they come."""
    tables = {number: store.get(unit.labels) for number, unit in enumerate(units)}
    names = {
        f"fold {unit.fold}, {unit.labels['method']} ({unit.labels['learned']}), seed {unit.labels['seed']}": number
        for number, unit in enumerate(units)
        if tables[number] is None
    }

    def take(name: str, made: tuple[pd.DataFrame, bool]) -> None:
        tables[names[name]] = _kept(store, units[names[name]], made)

    run_tasks(
        client,
        _run_unit,
        {name: (units[number],) for name, number in names.items()},
        take,
        shared=sections,
        what="Sections of the benchmark",
        progress=progress,
        unit="unit",
    )
    return _joined([table for table in tables.values() if table is not None])


def _joined(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    for name in ("error", "section", "patient", "regime"):
        table[name] = table[name].fillna("").astype(str)
    return table


def _kept(store: UnitStore, unit: Unit, made: tuple[pd.DataFrame, bool]) -> pd.DataFrame:
    rows, whole = made
    if whole:
        store.put(unit.labels, rows)
    return rows


@dataclass(eq=False)
class SentSections:
    """The sections of a benchmark as they go to workers, which read those that stand in stores there.

    Attributes
    ----------
    adatas
        What the user passed, by :func:`phg2st_sc._slide.by_path`.
    reading
        How it is read.
    marks
        What the sections must be.
    scoring
        What is scored.
    folds
        Folds, and the genes that vary most in their training sections, by name.
    """

    adatas: Any
    reading: Reading
    marks: Marks
    scoring: Scoring
    folds: Mapping[str, tuple[Fold, Sequence[str] | None]]
    _sections: dict[str, Section] = field(default_factory=dict)
    _data: FoldData | None = None

    @classmethod
    def of(cls, adatas: Any, reading: Reading, marks: Marks, data: Mapping[str, FoldData]) -> SentSections:
        """The sections of all folds."""
        folds = {name: (one.fold, one.top_genes) for name, one in data.items()}
        return cls(by_path(adatas), reading, marks, next(iter(data.values())).scoring, folds)

    def data(self, fold: str) -> FoldData:
        """Sections of a fold, read once by a process for as many of its units as come in a row."""
        if not self._sections:
            found = {one.name: one for one in open_sections(read_again(self.adatas), self.reading)}
            self._check(found)
            self._sections = found
        if self._data is None or self._data.fold.name != fold:
            one, top = self.folds[fold]
            self._data = FoldData(one, self._sections, self.scoring, top)
        return self._data

    def _check(self, found: Mapping[str, Section]) -> None:
        make = {"sections": section_mark, "pictures": picture_mark}
        wrong = [
            name
            for kind, marks in self.marks.items()
            for name, mark in marks.items()
            if name not in found or make[kind](found[name]) != mark
        ]
        if wrong:
            msg = (
                f"Workers find other counts, places, features or pictures in the stores than there are in memory of sections "
                f"{quoted(dict.fromkeys(wrong))}: write what was changed into the stores (`write=True`, or `sdata.write(path)` to a new "
                "one), or call without `client=`."
            )
            raise ValueError(msg)


def _run_unit(sections: SentSections, unit: Unit) -> tuple[pd.DataFrame, bool]:
    return unit.run(sections.data(unit.fold))
