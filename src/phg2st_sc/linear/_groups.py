"""Points in groups of like number that lie together: halved again and again across their longer side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def groups(points: Array, size: int) -> list[Index]:
    """Groups of at most ``size`` of (n, d) points, each by ascending position; all points are in one."""
    waiting, done = [np.arange(len(points))], []
    while waiting:
        group = waiting.pop()
        if len(group) <= size:
            done.append(np.sort(group))
            continue
        across = int(np.argmax(np.ptp(points[group], axis=0)))
        order = group[np.argsort(points[group, across], kind="stable")]
        waiting += [order[len(order) // 2 :], order[: len(order) // 2]]
    return done


def evenly(points: Array, count: int) -> Index:
    """About ``count`` of (n, d) points, spread as evenly as they are: the middle one of each of so many groups.

    Groups are halved, so there are between half and twice as many (512 for 300 of 3,000); all points where ``count`` is no less.
    """
    size = -(-len(points) // count)
    return np.sort([_middle(points, group) for group in groups(points, size)])


def surrounding(points: Array, group: Index, count: int) -> Index:
    """The group, and those of the other (n, d) points that are nearest to the box around it: ``count`` in all."""
    if count >= len(points):
        return np.arange(len(points))
    low, high = points[group].min(axis=0), points[group].max(axis=0)
    outside = np.maximum(np.maximum(low - points, points - high), 0.0)
    squares = (outside**2).sum(axis=1)
    squares[group] = -1.0
    return np.sort(np.argsort(squares, kind="stable")[:count])


def _middle(points: Array, group: Index) -> int:
    centre = points[group].mean(axis=0)
    return int(group[np.argmin(((points[group] - centre) ** 2).sum(axis=1))])
