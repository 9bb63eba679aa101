"""Ctrl-C while files are exchanged: held back until that is finished or undone."""

from __future__ import annotations

import signal
import threading
from types import TracebackType
from typing import Any, Self


class HeldInterrupts:
    """Hold SIGINT back during the body, and hand it on at its end, or in :meth:`let_through`.

    Threads that zarr writes with would go on writing while an interrupted caller already cleans up.
    """

    def __init__(self) -> None:
        self._pending: tuple[int, Any] | None = None
        self._handler: Any = None

    def __enter__(self) -> Self:
        handler = signal.getsignal(signal.SIGINT)
        # only the main thread is ever interrupted; without a handler in Python there is none to hand on to
        if callable(handler) and threading.current_thread() is threading.main_thread():
            self._handler = handler
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handler is not None:
            signal.signal(signal.SIGINT, self._handler)
        self.let_through()

    def let_through(self) -> None:
        """Hand on what was held back."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._handler(*pending)

    def _note(self, number: int, frame: Any) -> None:
        self._pending = (number, frame)
