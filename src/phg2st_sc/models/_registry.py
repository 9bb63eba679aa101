"""Methods by name. A new method is one file with one ``@register``."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from numbers import Integral, Real
from typing import Any

import numpy as np

from ._base import Estimator

_METHODS: dict[str, type[Estimator]] = {}


def register(method: type[Estimator]) -> type[Estimator]:
    """Class decorator: make a method available under its ``name``."""
    _METHODS[method.name] = method
    return method


@cache
def _load_all() -> None:
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__, f"{__package__}."):
        if module.ispkg:
            importlib.import_module(module.name)


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
    if not isinstance(name, str):
        msg = (
            f"`method` is the name of a method, e.g. 'kriging', not {type(name).__name__}: an object of a method is passed "
            "as `model=`"
        )
        raise TypeError(msg)
    _load_all()
    if name not in _METHODS:
        close = difflib.get_close_matches(name.lower(), methods(), n=1)
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

    Raises
    ------
    KeyError
        If there is no such method.
    TypeError
        If a setting is of another type than the method takes.
    ValueError
        If a number is too small or not finite.
    """
    name, parameters = get_method(name).called_today(parameters)
    method = get_method(name)
    check_settings(method, parameters)
    return method(**parameters)


_ABOVE_ZERO = ("length_scale", "ratio", "lr", "fine_tune_lr", "patch_um", "power")
_LEAST = {
    "n_neighbors": 1,
    "n_components": 0,
    "n_prompt_components": 0,
    "n_image_components": 1,
    "max_epochs": 1,
    "fine_tune": 0,
}
_NUMBERS: dict[str, tuple[Any, str]] = {"int": (Integral, "a whole number"), "float": (Real, "a number")}


def check_settings(method: type[Estimator], parameters: Mapping[str, Any]) -> None:
    """Raise where a number among the settings is none, or out of range; the error names the setting."""
    kinds = inspect.signature(method.__init__).parameters
    for name, value in parameters.items():
        if name not in kinds:
            continue
        options = [option.strip() for option in str(kinds[name].annotation).split("|")]
        if options[0] in _NUMBERS and not (value is None and "None" in options):
            _check_number(method.name, name, value, options)


def _check_number(method: str, name: str, value: Any, options: Sequence[str]) -> None:
    kind, words = _NUMBERS[options[0]]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        if any(option not in (*_NUMBERS, "None") for option in options):
            return  # not only numbers are fine, as in `devices`
        ending = " or None" if "None" in options else ""
        msg = f"`{name}` of method {method!r} is {words}{ending}, not {value!r}"
        raise TypeError(msg)
    if not np.isfinite(value) or (name in _ABOVE_ZERO and value <= 0):
        msg = f"{name}={value!r} of method {method!r} must be a finite number above 0"
        raise ValueError(msg)
    if name in _LEAST and value < _LEAST[name]:
        msg = f"{name}={value!r} of method {method!r} must be at least {_LEAST[name]}"
        raise ValueError(msg)
