"""A disk that fails, or a process that dies, at any one step that changes files below a folder."""

from __future__ import annotations

import errno
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

_CHANGES = {"os.rename": 2, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.link": 2, "os.truncate": 1}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Killed(BaseException):
    """Stands for the end of the process: nothing that it does afterwards reaches the disk."""


class CutOff:
    """Raise at the given step, counted over everything that changes files below a folder."""

    def __init__(self, root: Path, step: int | None, *, kill: bool) -> None:
        self.root, self.step, self.kill = str(root.resolve()), step, kill
        self.hit = False
        self.log: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, event: str, arguments: tuple) -> None:
        paths = [str(Path(p).absolute()) for p in self._changed(event, arguments) if isinstance(p, (str, Path))]
        if not any(path.startswith(self.root) for path in paths):
            return
        with self._lock:
            self.log.append(f"{event} {' '.join(path.removeprefix(self.root) for path in paths)}")
            due = self.step is not None and self.seen > self.step
            first, self.hit = due and not self.hit, self.hit or due
        if due and self.kill:
            raise Killed(event)
        if first:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def seen(self) -> int:
        return len(self.log)

    def first(self, text: str) -> int:
        """Number of the first step whose line in the log ends with a text."""
        return next(number for number, line in enumerate(self.log) if line.endswith(text))

    def _changed(self, event: str, arguments: tuple) -> tuple:
        """Paths that an event changes."""
        if event != "open":
            return arguments[: _CHANGES.get(event, 0)]
        path, mode, flags = arguments
        writes = (isinstance(mode, str) and set(mode) & set("wax+")) or flags & _WRITING
        return (path,) if writes else ()


_active: CutOff | None = None


def _hook(event: str, arguments: tuple) -> None:
    # a hook cannot be taken away again, so it stays, and does nothing
    if _active is not None and (event == "open" or event in _CHANGES):
        _active(event, arguments)


_hooked = False


@contextmanager
def cut_off(root: Path, step: int | None, *, kill: bool):
    """Cut off what the body does at a step; ``None`` only counts."""
    global _active, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    _active = CutOff(Path(root), step, kill=kill)
    try:
        yield _active
    finally:
        _active = None
