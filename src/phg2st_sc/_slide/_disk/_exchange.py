"""Exchange of old and new content in a store, by renaming; every step can be repeated, and undone without free space."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ._hold import WORK
from ._journal import FRAMES, MARK, TABLES, Item, Journal
from ._metadata import bare, columns, consolidated, is_group, listing, metadata_files

_NEW, _OLD, _KEPT, _BARE = "new", "old", "kept", "bare"


@dataclass(frozen=True)
class Exchange:
    """One exchange.

    Attributes
    ----------
    store
        Root folder.
    journal
        What is exchanged.
    """

    store: Path
    journal: Journal

    @property
    def work(self) -> Path:
        """Folder of the write."""
        return self.store / WORK

    def target(self, item: Item) -> Path:
        """Where it lies in the store."""
        if item.slot == TABLES:
            return self.store / item.path()
        return self.store / TABLES / self.journal.table / item.path()

    def new(self, item: Item) -> Path:
        """Where its new content is, until it is moved in."""
        return self.work / _NEW / item.path()

    def old(self, item: Item) -> Path:
        """Where its old content is, once it was moved out."""
        return self.work / _OLD / item.path()

    def check(self) -> None:
        """Make sure that what is exchanged lies in the store, and not behind a link.

        Raises
        ------
        ValueError
            If it does not.
        """
        groups = [self.store / group for group in self.journal.groups()]
        parents = [self.target(item).parent for item in (MARK, *self.journal.items)]
        for folder in (*groups, *parents):
            if os.path.lexists(folder) and folder.resolve() != folder:
                msg = (
                    f"{folder} leads out of its place by a link: nothing is written through links within a store. Write the "
                    "object to a new path: `sdata.write(path)`."
                )
                raise ValueError(msg)
        missing = [folder for folder in parents if not folder.is_dir()]
        if missing:
            msg = f"{missing[0]} is no folder: the store {self.store} is damaged. Write the object to a new path."
            raise ValueError(msg)

    def conflicts(self) -> list[str]:
        """What something else has put in place since a write was cut off."""
        lies = os.path.lexists
        return [
            str(item)
            for item in self.journal.items
            if item.new and lies(self.new(item)) and lies(self.target(item)) and (lies(self.old(item)) or not item.old)
        ]

    def prepare(self) -> None:
        """Make all that undoing takes, while there is time to fail."""
        for item in (MARK, *self.journal.items):
            self.old(item).parent.mkdir(parents=True, exist_ok=True)
        for file in self._files():
            for name, content in ((_KEPT, file.read_bytes()), (_BARE, bare(file, self._hidden(file)))):
                copy = self.work / name / file.relative_to(self.store)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if content is not None:
                    copy.write_bytes(content)

    def forward(self) -> None:
        """Put the new content in place, the mark first in and last out; goes on wherever an earlier attempt was cut off."""
        for file in self._files():
            self._put(file, bare(file))
        self._move_in(MARK)
        for file in self._files():
            self._put(file, bare(file, self._hidden(file)))
        for item in self.journal.records():
            self._move_out(item)
        for item in self.journal.content():
            self._move_out(item)
            self._move_in(item)
        for frame in self.journal.columns:
            self._put(*listing(self._frame(frame), self._order(frame)))
        for item in self.journal.records():
            self._move_in(item)
        self.consolidate()
        _move(self.target(MARK), self.old(MARK))

    def backward(self) -> None:
        """Put the old content back."""
        if not os.path.lexists(self.new(MARK)):
            self._restore(_BARE)
            self._take_back(self.journal.records())
            self._take_back(self.journal.content())
            self._give_back(self.journal.content())
            self._restore(_KEPT, frames=True)
            self._give_back(self.journal.records())
        self._restore(_KEPT)
        if os.path.lexists(self.target(MARK)):
            _move(self.target(MARK), self.old(MARK))

    def consolidate(self) -> None:
        """Write consolidated metadata where there was some, without the mark."""
        mark = self.target(MARK).relative_to(self.store).as_posix()
        for level in self.journal.levels:
            if not is_group(self.store / level):
                continue  # somebody has deleted it since
            self._put(*consolidated(self.store, level, lambda path: path == mark or path.startswith(WORK)))

    def _files(self) -> list[Path]:
        frames = [self._frame(frame) for frame in self.journal.columns]
        folders = dict.fromkeys([*(self.store / level for level in self.journal.levels), *frames])
        return [file for folder in folders for file in metadata_files(folder, is_frame=folder in frames)]

    def _frame(self, frame: str) -> Path:
        return self.store / TABLES / self.journal.table / frame

    def _hidden(self, file: Path) -> Sequence[str]:
        frame = file.parent.name
        if frame in self.journal.columns and file.parent == self._frame(frame):
            return [name for names in self.journal.changed(frame) for name in names]
        return ()

    def _order(self, frame: str) -> list[str]:
        """Columns afterwards: those that stay where they were, those of others since, then the new ones."""
        before, now = self.journal.columns[frame], columns(self._frame(frame))
        new, gone = self.journal.changed(frame)
        known = [name for name in before if name in now or name in new]
        order = dict.fromkeys([*known, *now, *new])
        return [name for name in order if name not in gone]

    def _move_out(self, item: Item) -> None:
        pending = not item.new or os.path.lexists(self.new(item))
        if pending and os.path.lexists(self.target(item)) and not os.path.lexists(self.old(item)):
            _move(self.target(item), self.old(item))

    def _move_in(self, item: Item) -> None:
        if item.new and os.path.lexists(self.new(item)):
            _move(self.new(item), self.target(item))

    def _take_back(self, items: Iterable[Item]) -> None:
        for item in items:
            if item.new and not os.path.lexists(self.new(item)) and os.path.lexists(self.target(item)):
                _move(self.target(item), self.new(item))

    def _give_back(self, items: Iterable[Item]) -> None:
        for item in items:
            if os.path.lexists(self.old(item)):
                _move(self.old(item), self.target(item))

    def _put(self, file: Path, content: bytes | None) -> None:
        if content is None:
            file.unlink(missing_ok=True)
        elif not file.is_file() or file.read_bytes() != content:
            part = self.work / "part"
            part.write_bytes(content)
            part.replace(file)

    def _restore(self, version: str, *, frames: bool = False) -> None:
        """Put prepared copies of metadata files in place: takes no space."""
        folders = {self._frame(frame) for frame in FRAMES}
        for kept in sorted(path for path in (self.work / _KEPT).rglob("*") if path.is_file()):
            place = kept.relative_to(self.work / _KEPT)
            copy, target = self.work / version / place, self.store / place
            if frames and target.parent not in folders:
                continue
            if copy.is_file():
                copy.replace(target)
            else:
                target.unlink(missing_ok=True)


def _move(source: Path, target: Path) -> None:
    source.rename(target)
