"""Methods by name. A new method is one file with one ``@register``."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache
from typing import Any

from ._base import Estimator

_METHODS: dict[str, type[Estimator]] = {}


def register(method: type[Estimator]) -> type[Estimator]:
    """Class decorator: make a method available under its ``name``."""
    _METHODS[method.name] = method
    return method


@cache
def _load_all() -> None:
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"{__package__}.{module.name}")


def methods() -> tuple[str, ...]:
    """Names of all methods, sorted.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> "kriging" in phg2st.models.methods()
    True
    """
    _load_all()
    return tuple(sorted(_METHODS))


def get_method(name: str) -> type[Estimator]:
    """Class of a method by name; an error that lists the names otherwise."""
    _load_all()
    if name not in _METHODS:
        close = difflib.get_close_matches(str(name), methods(), n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        msg = f"unknown method {name!r}; {meant}available: {', '.join(methods())}"
        raise KeyError(msg)
    return _METHODS[name]


def create(name: str, **parameters: Any) -> Estimator:
    """A new, unfitted method.

    Parameters
    ----------
    name
        One of :func:`methods`.
    **parameters
        Passed to the method's class.
    """
    return get_method(name)(**parameters)
