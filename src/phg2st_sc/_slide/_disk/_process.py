"""Which process writes, in a form that another process, today or tomorrow, can tell from one that is gone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

_CLOCK_SLACK_S = 5.0
"""By which two readings of when a process started may differ: the clock of a machine is set now and then."""


@dataclass(frozen=True)
class Process:
    """A process on a machine.

    Attributes
    ----------
    pid
        Number of the process.
    started
        When it started, in seconds since 1970: numbers are used again.
    host
        Name of the machine.
    space
        In which space of process numbers it is: containers on one machine have spaces of their own.
    since
        When it began to write.
    place
        Device and number of the store's folder: a copy of the store has another.
    """

    pid: int
    started: float
    host: str
    space: str
    since: str
    place: str

    @classmethod
    def current(cls, store: Path) -> Self:
        """Return the process that runs this, writing to a store."""
        own = psutil.Process()
        return cls(
            pid=own.pid,
            started=own.create_time(),
            host=socket.gethostname(),
            space=_space(),
            since=time.strftime("%Y-%m-%d %H:%M:%S"),
            place=place_of(store),
        )

    def record(self) -> dict[str, Any]:
        """Fields by name."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Return the process that a record tells of.

        Raises
        ------
        KeyError, TypeError, ValueError
            If a field is missing or of another kind.
        """
        texts = {name: record[name] for name in ("host", "space", "since", "place")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TypeError("A field of the owner is no text.")
        return cls(pid=int(record["pid"]), started=float(record["started"]), **texts)

    def runs(self) -> bool | None:
        """Whether it still runs; ``None`` where that cannot be seen from here."""
        if (self.host, self.space) != (socket.gethostname(), _space()):
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_SLACK_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True


def place_of(store: Path) -> str:
    """Device and number of a folder."""
    stat = store.stat()
    return f"{stat.st_dev}:{stat.st_ino}"


def _space() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return os.name
