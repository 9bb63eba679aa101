"""A zarr array without its axes of length one."""

from __future__ import annotations

from typing import Any


class Squeezed:
    """A zarr array seen without its axes of length one."""

    def __init__(self, array: Any, axes: tuple[int, ...]) -> None:
        self._array, self._axes = array, frozenset(axes)
        self.dtype = array.dtype
        self.shape = self._keep(array.shape)
        self.chunks = self._keep(array.chunks)

    def _keep(self, values: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(value for axis, value in enumerate(values) if axis not in self._axes)

    def __getitem__(self, index: tuple[slice, ...]) -> Any:
        kept = iter(index)
        full = tuple(0 if axis in self._axes else next(kept) for axis in range(len(self._array.shape)))
        return self._array[full]
