"""Time and memory of a piece of work."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

_INTERVAL = 0.02
_MB = float(1 << 20)


class Meter:
    """Context manager that measures what runs inside it; see :meth:`record`.

    Memory is that of the whole process, sampled 50 times a second: what was in use before counts as the base, so a peak that
    reuses memory which Python kept from earlier work is not seen. That of a GPU is what torch had given out at most on the
    current one.
    """

    def __enter__(self) -> Self:
        import psutil

        self._process, self._done = psutil.Process(), threading.Event()
        self._base = self._peak = self._process.memory_info().rss
        if (cuda := _cuda_in_use()) is not None:
            cuda.reset_peak_memory_stats()
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
        cuda = _cuda_in_use()
        self.gpu_mb = 0.0 if cuda is None else cuda.max_memory_allocated() / _MB

    @property
    def peak_mb(self) -> float:
        """Growth of the process at its largest, in MB."""
        return float(self._peak - self._base) / _MB

    def record(self, what: str) -> dict[str, float]:
        """Wall seconds, processor seconds and MB, as ``<what>_seconds``, ``_cpu_seconds``, ``_peak_mb``, ``_gpu_mb``."""
        measured = {"seconds": self.wall, "cpu_seconds": self.cpu, "peak_mb": self.peak_mb, "gpu_mb": self.gpu_mb}
        return {f"{what}_{name}": value for name, value in measured.items()}

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._peak = max(self._peak, self._process.memory_info().rss)


def _cuda_in_use() -> Any:
    """``torch.cuda`` where something runs on a GPU already: asking must not load torch, nor start the GPU."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch is not None and torch.cuda.is_initialized() else None
