"""Change parts of a zarr store on disk so that it holds either all of the new content, or all of the old.

New content is written beside the store first. Only then are folders exchanged, by renaming; what was there before is
kept beside the store until the end, with a journal of every exchange. A failure undoes the journal; if even that is
impossible because the process was killed, the next write does it.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_JOURNAL = "journal.json"
_OLD, _NEW = "old", "new"


@contextmanager
def without_format_news() -> Iterator[None]:
    """Keep anndata's announcement of its next default from a user who chose nothing about the layout of the store."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"zarr v3 autosharding will be the default", category=UserWarning)
        yield


class StoreLockedError(RuntimeError):
    """Another process writes to the store, or was killed while it did."""


class StoreWrite:
    """One change of a store on disk, as a context: kept if the body succeeds, undone if it raises.

    Parameters
    ----------
    store
        Root folder of the zarr store.

    Raises
    ------
    StoreLockedError
        If the lock file beside the store exists.
    """

    def __init__(self, store: Path) -> None:
        self.store = store.resolve()
        self.work = self.store.with_name(f".{self.store.name}.phg2st-write")
        self.lock = self.store.with_name(f".{self.store.name}.phg2st-lock")
        self._journal: list[dict[str, Any]] = []

    @property
    def new(self) -> Path:
        """Folder for new content."""
        return self.work / _NEW

    def __enter__(self) -> Self:
        _acquire(self.lock, self.store)
        ready = False
        try:
            _recover(self.work)
            (self.work / _OLD).mkdir(parents=True)
            ready = True
        finally:
            if not ready:
                self.lock.unlink(missing_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                _undo(self.work)
                error.add_note(f"The store {self.store} holds its old content.")
            _forget(self.work)
        finally:
            self.lock.unlink(missing_ok=True)

    def replace(self, staged: Path, target: Path) -> None:
        """Move new content into place, and what was there out of the way."""
        self.remove(target)
        _move(staged, target)

    def remove(self, target: Path) -> None:
        """Move what is there out of the way; nothing being there is fine."""
        backup = self._note(target)
        if target.exists():
            _move(target, backup)

    def keep(self, target: Path) -> None:
        """Keep a copy of a small file that is about to be changed in place."""
        backup = self._note(target)
        if target.exists():
            copy = backup.with_name(backup.name + ".part")
            shutil.copy2(target, copy)
            copy.replace(backup)

    def _note(self, target: Path) -> Path:
        """Enter into the journal what is about to happen, before it does."""
        backup = self.work / _OLD / str(len(self._journal))
        self._journal.append({"target": str(target), "backup": str(backup), "existed": target.exists()})
        part = self.work / (_JOURNAL + ".part")
        part.write_text(json.dumps(self._journal), encoding="utf-8")
        part.replace(self.work / _JOURNAL)
        return backup


def _move(source: Path, target: Path) -> None:
    source.rename(target)


def _undo(work: Path) -> None:
    """Put back what the journal says, last exchange first; safe to repeat."""
    journal = work / _JOURNAL
    if not journal.exists():
        return
    for entry in reversed(json.loads(journal.read_text(encoding="utf-8"))):
        target, backup = Path(entry["target"]), Path(entry["backup"])
        if backup.exists():
            _delete(target)
            backup.rename(target)
        elif not entry["existed"]:
            _delete(target)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _forget(work: Path) -> None:
    """Remove the journal first: from then on there is nothing to undo."""
    (work / _JOURNAL).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)


def _recover(work: Path) -> None:
    if work.exists():
        _undo(work)
        _forget(work)


def _acquire(lock: Path, store: Path) -> None:
    owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    try:
        with lock.open("x", encoding="utf-8") as file:
            json.dump(owner, file)
    except FileExistsError:
        raise StoreLockedError(_locked(lock, store)) from None


def _locked(lock: Path, store: Path) -> str:
    try:
        owner = json.loads(lock.read_text(encoding="utf-8"))
        who = f"Process {owner['pid']} on {owner['host']} has been writing to {store} since {owner['since']}"
        gone = owner["host"] == socket.gethostname() and not _runs(int(owner["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        who, gone = f"Another process is writing to {store}", False
    state = "It no longer runs: delete" if gone else "Wait for it; if it no longer runs, delete"
    return f"{who}. {state} {lock} and call again: the next write first restores what was left half done."


def _runs(pid: int) -> bool:
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
