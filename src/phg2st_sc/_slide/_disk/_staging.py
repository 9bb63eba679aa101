"""Where zarr writes new content: a folder that can be closed before it is deleted."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, Self

from zarr.storage import LocalStore


class Gate:
    """Counts the writes that are under way, and lets none in once it is closed.

    After one of several writes failed, zarr returns while its threads go on with the others.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._under_way = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._condition:
            if self._closed:
                raise OSError("Writing was given up.")
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._under_way -= 1
            self._condition.notify_all()

    def close(self) -> None:
        """Let no write in any more, and wait for those that are."""
        with self._condition:
            self._closed = True
            self._condition.wait_for(lambda: not self._under_way)


class StagingStore(LocalStore):
    """A local zarr store behind a gate."""

    def __init__(self, root: Path | str, *, read_only: bool = False, gate: Gate | None = None) -> None:
        super().__init__(root, read_only=read_only)
        self.gate = gate or Gate()

    def with_read_only(self, read_only: bool = False) -> Self:
        """Return the same store, behind the same gate."""
        return type(self)(self.root, read_only=read_only, gate=self.gate)

    async def set(self, key: str, value: Any) -> None:
        """Write a value."""
        with self.gate:
            await super().set(key, value)

    async def set_if_not_exists(self, key: str, value: Any) -> None:
        """Write a value where there is none."""
        with self.gate:
            await super().set_if_not_exists(key, value)
