"""One way to warn: at the line of the user's code that called the package, however deep the fault was found."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

_PACKAGE = str(Path(__file__).parent) + os.sep


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line that called the package.

    Parameters
    ----------
    message
        What is the matter, and the call that mends it.
    category
        Kind of warning.
    """
    warnings.warn(message, category, stacklevel=_levels_out())


def _levels_out() -> int:
    """Return the stack level, seen from :func:`warn_user`, of the frame that called into the package first.

    Frames of other libraries lie between frames of this package where it is called back, by Lightning for one: what counts
    is the outermost frame of the package, and the one outside it is the user's.
    """
    frame, level, outermost = sys._getframe(1), 1, 1
    while frame is not None:
        if frame.f_code.co_filename.startswith(_PACKAGE):
            outermost = level
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return outermost + 1
