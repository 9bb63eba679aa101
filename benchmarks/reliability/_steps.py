"""Count, fail or die at a step that changes files below a folder, and do work in children that may be killed."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename": 2, "os.mkdir": 1, "os.remove": 1, "os.rmdir": 1, "os.link": 2, "os.truncate": 1}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Steps:
    """Everything that changes files below a folder, from now on; at one of these steps the process dies or the disk is full."""

    def __init__(self, root: Path, at: int | None = None, *, full: bool = False) -> None:
        self.root, self.at, self.full = str(root.resolve()), at, full
        self.log: list[str] = []
        self.on = True
        sys.addaudithook(self._hook)

    def first(self, end: str) -> int:
        """Number of the first step that ends with a text."""
        return next((number for number, line in enumerate(self.log) if line.endswith(end)), len(self.log))

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on or not (event == "open" or event in _CHANGES):
            return
        paths = [str(Path(p).absolute()) for p in self._changed(event, arguments) if isinstance(p, (str, Path))]
        if not any(path.startswith(self.root) for path in paths):
            return
        self.log.append(f"{event} {' '.join(paths)}")
        if self.at is None or len(self.log) <= self.at:
            return
        if not self.full:
            os.kill(os.getpid(), signal.SIGKILL)
        self.on = False
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _changed(self, event: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        if event != "open":
            return arguments[: _CHANGES[event]]
        path, mode, flags = arguments
        writes = (isinstance(mode, str) and set(mode) & set("wax+")) or flags & _WRITING
        return (path,) if writes else ()


def in_child(work: Callable[[], Any], *, kill_after: float | None = None, limit: float = 300.0) -> Any:
    """What ``work`` returns in a child process, ``None`` if the child was killed; an error there is raised here."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _answer(work, writing)
    os.close(writing)
    answer = b""
    end = time.monotonic() + (limit if kill_after is None else kill_after)
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        chunk = os.read(reading, 1 << 16) if ready else None
        if chunk is None:
            os.kill(pid, signal.SIGKILL)
            end = time.monotonic() + limit
        elif not chunk:
            break
        else:
            answer += chunk
    os.close(reading)
    os.waitpid(pid, 0)
    if not answer:
        return None
    done = json.loads(answer)
    if "error" in done:
        raise RuntimeError(done["error"])
    return done["value"]


def _answer(work: Callable[[], Any], pipe: int) -> None:
    try:
        answer = {"value": work()}
    except BaseException:  # noqa: BLE001 - told to the parent
        answer = {"error": traceback.format_exc()}
    data = json.dumps(answer).encode()
    while data:
        data = data[os.write(pipe, data) :]
    os._exit(0)
