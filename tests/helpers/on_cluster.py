"""What happens to a cluster while it works: a worker dies, the user gives up."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def once(holds: Callable[[], bool], do: Callable[[], object]) -> Iterator[list[object]]:
    """Do something once something holds, while the body runs; yields what came of it."""
    over, came = threading.Event(), []

    def wait() -> None:
        while not holds():
            if over.wait(0.01):
                return
        came.append(do())

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        yield came
    finally:
        over.set()
        thread.join()


def kill_a_busy_worker(client: Any) -> Callable[[], int | None]:
    """Kill the process of a worker that has something to do; returns its number, ``None`` where none is busy."""
    numbers = client.run(os.getpid)

    def kill() -> int | None:
        until = time.monotonic() + 20.0
        while time.monotonic() < until:
            busy = [worker for worker, keys in client.processing().items() if keys]
            if busy:
                os.kill(numbers[busy[0]], signal.SIGKILL)
                return numbers[busy[0]]
            time.sleep(0.01)
        return None

    return kill


def idle(client: Any, seconds: float = 20.0) -> bool:
    """Whether the workers come to have nothing to do."""
    until = time.monotonic() + seconds
    while any(client.processing().values()):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def press() -> None:
    """Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
