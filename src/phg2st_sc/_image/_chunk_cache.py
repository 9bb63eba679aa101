"""Decoded chunks of an image: each is decoded by one reader, waited for by the others, and let go when it is needed no more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock

import numpy as np
from numpy.typing import NDArray

Key = tuple[int, int, int]
Chunk = NDArray[np.uint8]


class ChunkCache:
    """Chunks by (level, row, column).

    Parameters
    ----------
    most_bytes
        Beyond which those that were not used for longest go. What one box needs stays in any case.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._lock = Lock()
        self._chunks: OrderedDict[Key, Future[Chunk]] = OrderedDict()
        self._bytes = 0
        self._uses: dict[int, NDArray[np.int64]] = {}

    def expect(self, uses: dict[int, NDArray[np.int64]]) -> None:
        """Say how often chunks are going to be needed, as (rows, columns) by level; nothing is known of other levels."""
        with self._lock:
            self._uses = uses

    def get(self, keys: list[Key], decode: Callable[[list[Key]], list[Chunk]]) -> dict[Key, Chunk]:
        """Return chunks, after decoding those that are not here."""
        with self._lock:
            own = [key for key in keys if key not in self._chunks]
            for key in own:
                self._chunks[key] = Future()
            found = {key: self._chunks[key] for key in keys}
            for key in keys:
                self._chunks.move_to_end(key)
        if own:
            self._decode(own, found, decode)
        chunks = {key: one.result() for key, one in found.items()}
        self._used(keys)
        return chunks

    def _decode(
        self, keys: list[Key], found: dict[Key, Future[Chunk]], decode: Callable[[list[Key]], list[Chunk]]
    ) -> None:
        try:
            chunks = decode(keys)
        except BaseException as error:
            with self._lock:
                for key in keys:
                    self._chunks.pop(key, None)
            for key in keys:
                found[key].set_exception(error)
            raise
        with self._lock:
            self._bytes += sum(chunk.nbytes for chunk in chunks)
        for key, chunk in zip(keys, chunks, strict=True):
            found[key].set_result(chunk)

    def _used(self, keys: list[Key]) -> None:
        with self._lock:
            for key in keys:
                level, row, column = key
                if level in self._uses:
                    self._uses[level][row, column] -= 1
                    if self._uses[level][row, column] <= 0:
                        self._drop(key)
            if self._bytes > self._most_bytes:
                self._trim()

    def _trim(self) -> None:
        for key in list(self._chunks)[:-1]:
            self._drop(key)
            if self._bytes <= self._most_bytes:
                return

    def _drop(self, key: Key) -> None:
        gone = self._chunks.get(key)
        if gone is not None and gone.done():
            del self._chunks[key]
            self._bytes -= gone.result().nbytes

    def __reduce__(self) -> tuple[type[ChunkCache], tuple[int]]:
        """Travel to another process without what was decoded."""
        return ChunkCache, (self._most_bytes,)

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._chunks.clear()
            self._bytes, self._uses = 0, {}
