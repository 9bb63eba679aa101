"""How many threads the numerical libraries take within a call: as many as ``settings.threads`` says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ._settings import settings


class _Limit:
    """A limit that is on; torch, which may be imported in its course only, is told when it is there."""

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._before: int | None = None

    def tell_torch(self) -> None:
        torch = sys.modules.get("torch")
        if torch is not None and self._before is None:
            self._before = torch.get_num_threads()
            torch.set_num_threads(self._n_threads)

    def release_torch(self) -> None:
        if self._before is not None:
            sys.modules["torch"].set_num_threads(self._before)


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def limited_threads() -> Iterator[None]:
    """Within it, or within a function that it decorates, linear algebra and networks take no more threads than settled."""
    n_threads = settings.threads
    if n_threads is None or _limit.get() is not None:
        yield
        return
    from threadpoolctl import threadpool_limits

    limit = _Limit(n_threads)
    token = _limit.set(limit)
    limit.tell_torch()  # before its OpenMP is limited too, which it would take for what was there before
    was_there = "torch" in sys.modules
    try:
        with threadpool_limits(n_threads):
            try:
                yield
            finally:
                if not was_there:
                    limit.release_torch()
    finally:
        if was_there:
            limit.release_torch()
        _limit.reset(token)


def limit_torch() -> None:
    """Tell torch of the limit that is on; for those who import it within a call."""
    limit = _limit.get()
    if limit is not None:
        limit.tell_torch()


def n_threads() -> int:
    """Threads to start at most: as many as settled, else as the machine has cores."""
    return settings.threads or os.cpu_count() or 1
