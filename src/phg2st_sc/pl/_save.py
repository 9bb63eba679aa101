"""Figures on disk: as a whole, or as they were before."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(figure: Figure, path: Any, **settings: Any) -> None:
    """Save a figure as ``figure.savefig`` does; a file that is there stays until the new one is complete."""
    if not isinstance(path, (str, Path)) or not Path(path).suffix:  # a stream, or a name that Matplotlib completes
        figure.savefig(path, **settings)
    else:
        write_whole(Path(path).expanduser().resolve(), partial(figure.savefig, **settings))
