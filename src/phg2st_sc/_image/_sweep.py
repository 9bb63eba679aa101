"""In which order to read windows of an image, so that each of its chunks is needed for as short a while as can be.

A sweep goes down a strip of the image, row of chunks by row of chunks: what it needs at a time are the few rows that a window
spans. The strip is as wide as memory for decoded chunks allows, which is all of the image where that is not very large.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ._base import ImageLevel

CACHE_BYTES = 256 * 2**20
"""Memory for decoded chunks of one image."""
_UNCHUNKED = (1024, 1024)


def sweep(windows: NDArray[np.int64], level: ImageLevel) -> NDArray[np.int64]:
    """Return the order in which to read (t, 4) windows (top, left, bottom, right) of a level.

    The same windows in another order are read in the same one, but for those that are equal.
    """
    height, width = level.chunks or _UNCHUNKED
    top, left, bottom, right = windows.T
    row, column = (bottom - 1) // height, (right - 1) // width  # by then all the chunks of the window are needed
    strip = column // _strip(windows, height, width)
    return np.lexsort((left, top, column, row, strip)).astype(np.int64)


def _strip(windows: NDArray[np.int64], height: int, width: int) -> int:
    """Chunks that lie side by side in a strip."""
    top, left, bottom, right = windows.T
    rows = int((bottom - top).max(initial=1)) // height + 2
    columns = int((right - left).max(initial=1)) // width + 2
    return int(max(CACHE_BYTES // (height * width * 3 * rows) - columns, 1))
