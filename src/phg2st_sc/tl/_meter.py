"""Time and memory of a piece of work."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

_INTERVAL = 0.02
_MB = float(1 << 20)


class Meter:
    """Context manager that measures what runs inside it; see :meth:`record`.

    Memory is that of the whole process, sampled 50 times a second: what was in use before counts as the base, so a peak that
    reuses memory which Python kept from earlier work is not seen.
    """

    def __enter__(self) -> Self:
        import psutil

        self._process, self._done = psutil.Process(), threading.Event()
        self._base = self._peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wall, self.cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        self._done.set()
        self._thread.join()
        self._peak = max(self._peak, self._process.memory_info().rss)

    @property
    def peak_mb(self) -> float:
        """Growth of the process at its largest, in MB."""
        return float(self._peak - self._base) / _MB

    def record(self, what: str) -> dict[str, float]:
        """Wall seconds, processor seconds and MB, as ``<what>_seconds``, ``<what>_cpu_seconds``, ``<what>_peak_mb``."""
        return {f"{what}_seconds": self.wall, f"{what}_cpu_seconds": self.cpu, f"{what}_peak_mb": self.peak_mb}

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._peak = max(self._peak, self._process.memory_info().rss)
