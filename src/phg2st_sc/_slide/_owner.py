"""Whose a slot is: the package replaces what it wrote itself, and never what the user holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anndata import AnnData

SlotKey = tuple[str, str]
"""(slot, key), such as ``("layers", "phg2st")``."""


@dataclass(frozen=True)
class Owner:
    """How to tell that the slots of a result were written by an earlier call.

    Attributes
    ----------
    record
        Where in ``uns`` such a call leaves its record: a key, or the keys on the way to it.
    fields
        What every such record holds, by which it is told from something else of that name.
    shared
        Keys of ``uns`` that hold the records of several results by name; a call only adds its own, named as ``record`` ends.
    mend
        What to do instead, for the message.
    parts
        Keys that only some of such calls write, and how to tell that the last one did: else they are the user's.
    """

    record: tuple[str, ...]
    fields: tuple[str, ...]
    shared: tuple[str, ...] = ()
    mend: str = "choose another `key_added=`, or"
    parts: tuple[tuple[tuple[SlotKey, ...], Owner], ...] = ()

    def wrote(self, table: AnnData) -> bool:
        """Whether the record of an earlier call is on the table."""
        place: object = table.uns
        for key in self.record:
            if not isinstance(place, Mapping) or key not in place:
                return False
            place = place[key]
        return isinstance(place, Mapping) and all(field in place for field in self.fields)

    def wrote_on_disk(self, folder: Path) -> bool:
        """The same for the folder of a table in a store."""
        record = folder.joinpath("uns", *self.record)
        return record.exists() and all((record / field).exists() for field in self.fields)


def refuse_foreign(table: AnnData, keys: Iterable[SlotKey], owner: Owner) -> None:
    """Refuse to change slots that exist and were not written by an earlier call.

    Raises
    ------
    ValueError
        If there are any; the message names them, and the ways out.
    """
    keys = list(keys)
    for of_part, part in owner.parts:
        refuse_foreign(table, [one for one in keys if one in of_part], part)
        keys = [one for one in keys if one not in of_part]
    shared = {key: table.uns[key] for key in owner.shared if table.uns.get(key) is not None}
    _refuse_other_kinds(shared)
    if owner.wrote(table):
        return
    taken = [(slot, key) for slot, key in keys if not (slot == "uns" and key in owner.shared)]
    names = [f"{slot}[{key!r}]" for slot, key in taken if key in getattr(table, slot)]
    own = owner.record[-1]
    names += [f"uns[{key!r}][{own!r}]" for key, records in shared.items() if own in records]
    if names:
        them = "it" if len(names) == 1 else "them"
        raise ValueError(_foreign(names, owner, f"delete {them} first, e.g. `del data.{names[0]}`."))


def refuse_foreign_on_disk(folder: Path, keys: Iterable[tuple[str, tuple[str, ...]]], owner: Owner) -> None:
    """The same for the table in a store, to which another process may have added.

    Parameters
    ----------
    folder
        Folder of the table.
    keys
        (slot, keys below it).
    owner
        How to tell.

    Raises
    ------
    ValueError
        If there are any.
    """
    keys = list(keys)
    for names_of_part, part in owner.parts:
        of_part = [(slot, key) for slot, key in keys if (slot, key[0]) in names_of_part]
        refuse_foreign_on_disk(folder, of_part, part)
        keys = [one for one in keys if one not in of_part]
    if owner.wrote_on_disk(folder):
        return
    names = [
        slot + "".join(f"[{part!r}]" for part in key) for slot, key in keys if folder.joinpath(slot, *key).exists()
    ]
    if names:
        mend = f"read the object from the store, where {'it is' if len(names) == 1 else 'they are'}, and see what it holds."
        raise ValueError(f"Table {folder.name!r} in the store: " + _foreign(names, owner, mend))


def _foreign(names: list[str], owner: Owner, mend: str) -> str:
    where = "".join(f"[{key!r}]" for key in owner.record)
    return (
        f"{', '.join(names)} {'exists and was' if len(names) == 1 else 'exist and were'} not written by phg2st_sc (there is "
        f"no record of it in uns{where}; `anndata.concat` keeps that only with `uns_merge='unique'`): {owner.mend} {mend}"
    )


def _refuse_other_kinds(shared: Mapping[str, object]) -> None:
    """Refuse to add records to what is no dict of them."""
    for key, value in shared.items():
        if not isinstance(value, Mapping):
            msg = (
                f"uns[{key!r}] is a {type(value).__name__} that phg2st_sc did not write, and is where it keeps records: keep "
                f"yours under another name, and delete it there, `del data.uns[{key!r}]`."
            )
            raise ValueError(msg)
