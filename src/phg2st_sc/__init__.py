"""Predict gene expression over a whole H&E section from its image and a few measured spots.

The submodules load when they are first used, so importing the package stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import datasets, encoders, graph, io, metrics, models, nn, pl, pp, prompts, tl, training
    from ._settings import settings

__version__ = version("phg2st-sc")
__all__ = [
    "__version__",
    "datasets",
    "encoders",
    "graph",
    "io",
    "metrics",
    "models",
    "nn",
    "pl",
    "pp",
    "prompts",
    "settings",
    "tl",
    "training",
]

_SUBMODULES = frozenset(__all__) - {"__version__", "settings"}


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return import_module(f"{__name__}.{name}")
    if name == "settings":
        from ._settings import settings

        return settings
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
