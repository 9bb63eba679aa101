"""Whether what a call was handed are settings of a method, and its seed one."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from .._text import quoted
from ._registry import get_method


def check_parameters(method: str, parameters: Mapping[str, Any], call: Callable[..., Any]) -> tuple[str, ...]:
    """Raise where a method has no such settings; returns those that it has.

    ``call`` is the public function that was called, of whose arguments errors speak.
    """
    known = get_method(method).parameter_names()
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        suggest_argument(unknown, call, known)
        msg = f"Method {method!r} has no setting {quoted(unknown)}; it has: {', '.join(sorted(known)) or 'none'}."
        raise TypeError(msg)
    return known


def suggest_argument(names: Iterable[str], call: Callable[..., Any], settings: Sequence[str] = ()) -> None:
    """Raise where one of the names is most like an argument of the call, and not like a setting."""
    parameters = inspect.signature(call).parameters
    arguments = [name for name, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD]
    for name in names:
        close = difflib.get_close_matches(name.lower(), [*settings, *arguments], n=1)
        if close and close[0] in arguments and close[0] not in settings:
            msg = f"{call.__name__} has no argument {name!r}; did you mean `{close[0]}`?"
            raise TypeError(msg)


def check_seed(seed: Any) -> None:
    """Raise where a seed is no whole number of 0 or more."""
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, Integral):
        msg = f"`seed` is a whole number, not {seed!r}."
        raise TypeError(msg)
    if seed < 0:
        msg = f"seed={seed!r} must be 0 or more."
        raise ValueError(msg)
