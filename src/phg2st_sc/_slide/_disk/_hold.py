"""A store in hand: a folder in it that one writer has at a time, and that a killed one leaves to the next.

The folder is made ready under a name of its own and then renamed, which succeeds for one writer only and needs no free
space. In it lies who writes. Where that process is gone, the next one puts its own name into the folder of the last, by the
same trick; so nobody ever deletes what somebody else may have just taken.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ._process import Process, place_of

WORK = ".phg2st-write"
"""Folder in the store of a write that is under way, or was cut off."""
_OWNER, _LEFT, _NEXT = "owner.json", "left.json", "next"
_ASIDE = re.compile(re.escape(WORK) + r"\.[0-9a-f]{32}(\.done)?")
_LONGEST_RECORD = 4096
_MOST_HEIRS = 64
_TRIES = 8
_ABANDONED_S = 600.0


class StoreLockedError(RuntimeError):
    """Another process writes to the store, or one on another machine may do so.

    Parameters
    ----------
    message
        Who, since when, and what to do.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> def settle(path):
    ...     try:
    ...         return phg2st.io.recover(path)
    ...     except phg2st.io.StoreLockedError:
    ...         return "come back later"
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


@dataclass(frozen=True)
class Hold:
    """The right to write to a store.

    Attributes
    ----------
    store
        Its root folder.
    run
        Name of this write.
    own
        Folder with this process's name in it: the work folder, or deeper where another one was cut off.
    """

    store: Path
    run: str
    own: Path

    @property
    def work(self) -> Path:
        """Folder for content on its way in and out."""
        return self.store / WORK

    @property
    def inherited(self) -> bool:
        """Whether an earlier write was cut off, and has to be settled first."""
        return self.own != self.work

    def release(self) -> None:
        """Let go of the store: from then on there is nothing to undo."""
        done = self.store / f"{WORK}.{self.run}.done"
        self.work.rename(done)
        shutil.rmtree(done, ignore_errors=True)

    def leave(self) -> None:
        """Leave everything as it is to whoever recovers the store."""
        if self.inherited:
            done = self.store / f"{WORK}.{self.run}.done"
            self.own.rename(done)
            shutil.rmtree(done, ignore_errors=True)
        else:
            (self.own / _OWNER).rename(self.own / _LEFT)


def take(store: Path, *, break_lock: bool = False) -> Hold:
    """Take a store for writing.

    Parameters
    ----------
    store
        Its root folder, without links on the way.
    break_lock
        Take it although a process on another machine may be writing.

    Raises
    ------
    StoreLockedError
        If another process has it.
    ValueError
        If the folder of the last write is not of this package's making.
    """
    sweep(store)
    run = uuid4().hex
    ready = store / f"{WORK}.{run}"
    ready.mkdir()
    try:
        record = {"run": run, **Process.current(store).record()}
        (ready / _OWNER).write_text(json.dumps(record), encoding="utf-8")
        return Hold(store, run, _place(ready, store, break_lock=break_lock))
    finally:
        shutil.rmtree(ready, ignore_errors=True)


def _place(ready: Path, store: Path, *, break_lock: bool) -> Path:
    work = store / WORK
    for _ in range(_TRIES):
        if _renamed(ready, work):
            return work
        owners = _owners(work)
        for owner in owners:
            _refuse_living(owner, store, break_lock=break_lock)
        heir = work.joinpath(*[_NEXT] * len(owners))
        if not owners or not _renamed(ready, heir):
            continue  # somebody else was faster, or has just let go
        if _owners(work)[: len(owners)] == owners:
            return heir
        heir.rename(ready)  # that is another write than the one which was looked at
    msg = f"Several processes try to write to {store} at the same time: call again."
    raise StoreLockedError(msg)


def _renamed(source: Path, target: Path) -> bool:
    """Rename a folder unless something is there."""
    if target.is_symlink():
        raise ValueError(_damaged(target, "it is a link"))
    try:
        source.rename(target)
    except OSError:
        if os.path.lexists(target) or not target.parent.is_dir():
            return False
        raise
    return True


def _owners(work: Path) -> list[Process | None]:
    """Who had the folder, the first one first; ``None`` for who left it on purpose. Empty where it has just gone."""
    owners: list[Process | None] = []
    folder = work
    while os.path.lexists(folder):
        if folder.is_symlink() or not folder.is_dir():
            raise ValueError(_damaged(work, f"{folder} is no folder"))
        if len(owners) == _MOST_HEIRS:
            raise ValueError(_damaged(work, "it is nested too deeply"))
        try:
            owners.append(None if (folder / _LEFT).is_file() else _read_owner(folder / _OWNER))
        except FileNotFoundError:
            if not folder.is_dir():
                return []
            raise ValueError(_damaged(work, f"{folder / _OWNER} is missing")) from None
        folder = folder / _NEXT
    return owners


def _read_owner(path: Path) -> Process:
    if path.is_symlink() or path.stat().st_size > _LONGEST_RECORD:
        raise ValueError(_damaged(path.parent, f"{path} is not what this package writes"))
    try:
        return Process.from_record(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(_damaged(path.parent, f"{path} cannot be read: {error}")) from None


def _damaged(work: Path, why: str) -> str:
    return (
        f"{work} was not left by a write of this package, or is damaged: {why}. Nothing was changed. What is in `old` in it "
        "was taken from the store, what is in `new` was to come; move the folder out of the store and call again."
    )


def _refuse_living(owner: Process | None, store: Path, *, break_lock: bool) -> None:
    runs = False if owner is None else owner.runs()
    if owner is None or runs is False or (runs and owner.place != place_of(store)):
        return  # a process that writes to the store which this one is a copy of has no part in the copy
    if runs:
        who = "Another thread of this process" if owner.pid == os.getpid() else f"Process {owner.pid}"
        msg = f"{who} has been writing to {store} since {owner.since}: wait for it, or stop it, and call again."
        raise StoreLockedError(msg)
    if not break_lock:
        msg = (
            f"Process {owner.pid} on {owner.host} has been writing to {store} since {owner.since}; whether it still runs "
            "cannot be seen from here. Wait for it; if it runs no longer, call "
            f"`phg2st_sc.io.recover({str(store)!r}, break_lock=True)`."
        )
        raise StoreLockedError(msg)


def sweep(store: Path) -> None:
    """Delete what writes that are over could not delete, and what was never put in place."""
    for path in store.glob(f"{WORK}.*"):
        if not _ASIDE.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
            continue
        if path.name.endswith(".done") or _is_abandoned(path):
            shutil.rmtree(path, ignore_errors=True)


def _is_abandoned(ready: Path) -> bool:
    try:
        return _read_owner(ready / _OWNER).runs() is False
    except (OSError, ValueError):
        try:
            return time.time() - ready.stat().st_mtime > _ABANDONED_S
        except OSError:
            return False
