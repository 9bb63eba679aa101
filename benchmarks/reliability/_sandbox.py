"""Run something in a child process with limits of memory and time, and see what it reaches for."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_ACTS = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.",
    "pickle.find_class",
    "urllib.",
)
_CHANGES = (
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.symlink",
    "os.link",
    "os.chmod",
    "os.truncate",
    "shutil.",
)
_SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/localtime", "/usr/share/", "/usr/lib/", "/lib/", "/opt/")


@dataclass
class Outcome:
    """What came of it: a value or an error in words, or how the process ended; and what it should not have done."""

    value: Any = None
    error: str = ""
    message: str = ""
    ended: str = ""
    acts: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(action: Callable[[], Any], home: Path, *, seconds: float = 60.0, megabytes: int = 3000) -> Outcome:
    """Run ``action`` in a fork, which may read what is installed and read and write below ``home``."""
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.write(writer, json.dumps(_child(action, home, megabytes)).encode())
        os._exit(0)
    os.close(writer)
    content = _all_of(reader, began + seconds)
    os.close(reader)
    if content is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if content is None:
        outcome = Outcome(ended=f"still ran after {seconds:g} s")
    elif not content:
        outcome = Outcome(ended=f"ended with status {status}")
    else:
        outcome = Outcome(**json.loads(content))
    outcome.seconds = time.monotonic() - began
    return outcome


def _all_of(reader: int, until: float) -> bytes | None:
    parts = []
    while (left := until - time.monotonic()) > 0:
        if select.select([reader], [], [], left)[0]:
            part = os.read(reader, 1 << 16)
            if not part:
                return b"".join(parts)
            parts.append(part)
    return None


def _child(action: Callable[[], Any], home: Path, megabytes: int) -> dict[str, Any]:
    os.chdir(home)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + megabytes * 2**20,) * 2)
    acts: list[str] = []
    sys.addaudithook(_watch(acts, home))
    found: dict[str, Any] = {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["value"] = action()
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is what came of it
        found |= {"error": type(error).__name__, "message": str(error)}
    return {**found, "acts": acts[:5]}


def _watch(acts: list[str], home: Path) -> Callable[[str, tuple[Any, ...]], None]:
    inside = (
        str(home.resolve()) + "/",
        str(Path(sys.prefix)),
        str(Path(sys.base_prefix)),
        str(Path(__file__).parents[2]),
    )

    def allowed(path: Any, *, to_change: bool) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return True
        text = os.path.realpath(os.fsdecode(path))
        if (text + "/").startswith(inside[0]):
            return True
        return not to_change and (text.startswith((*inside[1:], *_SYSTEM)) or os.path.isdir(text))  # noqa: PTH112

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            flags = arguments[2] if isinstance(arguments[2], int) else 0
            changes = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            if (
                not allowed(arguments[0], to_change=changes)
                and os.path.realpath(os.fsdecode(arguments[0])) != "/dev/null"
            ):
                acts.append(f"open {arguments[0]!r:.100} {arguments[1]!r}")
        elif event.startswith(_ACTS) or (
            event.startswith(_CHANGES) and not all(allowed(one, to_change=True) for one in arguments[:2])
        ):
            acts.append(f"{event} {arguments!r:.100}")

    return watch
