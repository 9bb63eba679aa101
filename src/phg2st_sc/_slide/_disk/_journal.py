"""What a write is about to exchange: names only, never paths; read back with distrust."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from ... import _keys

JOURNAL = "journal.json"
SLOTS = ("layers", "obsm", "obsp", "obs", "var", "uns")
FRAMES = ("obs", "var")
TABLES = "tables"
_SCHEMA = 1
_LARGEST = 4 * 2**20
_MOST_ITEMS = 4096
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Item:
    """One thing to exchange.

    Attributes
    ----------
    slot
        Slot of the table, or ``"tables"``.
    key
        Key in it; two where a key of ``uns`` is shared by several results.
    new
        Whether there is new content; else it is only taken away.
    old
        Whether something is there now.
    """

    slot: str
    key: tuple[str, ...]
    new: bool
    old: bool

    def path(self) -> Path:
        """Where it lies below a folder that is laid out like a table."""
        return Path(self.slot, *self.key)

    def __str__(self) -> str:
        return self.slot + "".join(f"[{key!r}]" for key in self.key)


MARK = Item("uns", (_keys.UNFINISHED,), new=True, old=False)
"""Stands on the table while it is neither old nor new."""


@dataclass(frozen=True)
class Journal:
    """One write.

    Attributes
    ----------
    run
        Its name, which the mark on the table has too: a journal belongs to the table that has its mark.
    table
        Name of the table.
    items
        What is exchanged, in this order.
    columns
        Columns of ``obs`` and ``var`` before, in their order, where some are exchanged.
    levels
        Groups, as paths in the store, that had consolidated metadata.
    """

    run: str
    table: str
    items: tuple[Item, ...]
    columns: Mapping[str, list[str]] = field(default_factory=dict)
    levels: tuple[str, ...] = ()

    def slots(self) -> list[str]:
        """What is exchanged, as on the table."""
        return [str(item) for item in self.items]

    def records(self) -> Iterator[Item]:
        """Items of ``uns``: first out and last in, so that a result without its record is none."""
        return (item for item in self.items if item.slot == "uns")

    def content(self) -> Iterator[Item]:
        """All other items."""
        return (item for item in self.items if item.slot != "uns")

    def changed(self, frame: str) -> tuple[list[str], list[str]]:
        """Columns of ``obs`` or ``var`` that are set, and those that are taken away."""
        items = [item for item in self.items if item.slot == frame]
        return [i.key[0] for i in items if i.new], [i.key[0] for i in items if not i.new]

    def write(self, folder: Path) -> None:
        """Keep it in a folder; there is the whole of it or none."""
        part = folder / f"{JOURNAL}.part"
        part.write_text(json.dumps({"schema": _SCHEMA, **asdict(self)}), encoding="utf-8")
        part.replace(folder / JOURNAL)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it back.

        Raises
        ------
        ValueError
            If it is not as this class writes it, or a name in it leads elsewhere.
        """
        path = folder / JOURNAL
        try:
            if path.is_symlink() or path.stat().st_size > _LARGEST:
                raise ValueError("it is a link, or too large")
            return cls._from(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            msg = (
                f"The journal {path} is damaged, or not of this package's making ({error}). Nothing was changed. What is "
                "in `old` beside it was taken from the store, what is in `new` was to come; move the folder out of the "
                "store once nothing in it is needed."
            )
            raise ValueError(msg) from None

    @classmethod
    def _from(cls, record: Any) -> Self:
        if record["schema"] != _SCHEMA or set(record) != {"schema", "run", "table", "items", "columns", "levels"}:
            raise ValueError("unknown schema")
        if len(record["items"]) > _MOST_ITEMS or not re.fullmatch(r"[0-9a-f]{32}", record["run"]):
            raise ValueError("out of bounds")
        journal = cls(
            run=record["run"],
            table=_name(record["table"]),
            items=tuple(_item(item) for item in record["items"]),
            columns={frame: [_text(name) for name in names] for frame, names in record["columns"].items()},
            levels=tuple(_text(level) for level in record["levels"]),
        )
        if not set(journal.columns) <= set(FRAMES) or not set(journal.levels) <= set(journal.groups()):
            raise ValueError("unknown groups")
        return journal

    def groups(self) -> list[str]:
        """Groups of the store that may have consolidated metadata in which an exchange shows, the innermost first."""
        table = f"{TABLES}/{self.table}"
        shared = [f"{table}/uns/{item.key[0]}" for item in self.records() if len(item.key) > 1]
        slots = [f"{table}/{slot}" for slot in SLOTS]
        return [*dict.fromkeys(shared), *slots, table, TABLES, ""]


def _item(record: Mapping[str, Any]) -> Item:
    slot, key = record["slot"], tuple(_name(part) for part in record["key"])
    if slot not in (*SLOTS, TABLES) or not 1 <= len(key) <= (2 if slot == "uns" else 1) or key == MARK.key:
        raise ValueError(f"{slot!r} {key!r} is no slot")
    if not (record["new"] is True or record["new"] is False) or not isinstance(record["old"], bool):
        raise TypeError("`new` and `old` are true or false")
    return Item(slot, key, record["new"], record["old"])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _name(value: Any) -> str:
    """Name of a file or folder that leads nowhere else."""
    text = _text(value)
    if not text or len(text) > _LONGEST_NAME or text in (".", "..") or set(text) & set("/\\\0:"):
        raise ValueError(f"{text[:40]!r} is no name")
    return text
