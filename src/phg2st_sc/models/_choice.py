"""From what a call names to the method that predicts."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .._text import some

if TYPE_CHECKING:
    from . import Estimator

DEFAULT_METHOD = "phg2st"
"""What predicts when neither a model nor a method is given."""


def choose_estimator(
    model: Estimator | str | os.PathLike[str] | None,
    method: str | None,
    seed: int,
    parameters: Mapping[str, Any],
    call: Callable[..., Any],
) -> Estimator:
    """Method or model that a call names; ``call`` is the public function, whose arguments errors speak of."""
    from . import Estimator, create, get_method, load

    if model is not None and method is not None:
        msg = f"both `model` and `method={method!r}` are given: a model is a trained method, so pass one of the two"
        raise ValueError(msg)
    check_seed(seed)
    if model is not None:
        if parameters:
            _say_argument(parameters, call)
            msg = f"{some(parameters)} cannot be set on a trained model: train it with them"
            raise TypeError(msg)
        return model if isinstance(model, Estimator) else load(_path(model))
    name, parameters = get_method(DEFAULT_METHOD if method is None else method).called_today(parameters)
    known = check_parameters(name, parameters, call)
    estimator = create(name, **({"seed": seed} if "seed" in known else {}), **parameters)
    if estimator.needs_fit:
        settings = "".join(f", {key}={value!r}" for key, value in parameters.items())
        msg = f"method {name!r} must be trained first: `model = phg2st_sc.tl.train(slides, method={name!r}{settings})`"
        raise ValueError(msg)
    return estimator


def check_parameters(method: str, parameters: Mapping[str, Any], call: Callable[..., Any]) -> tuple[str, ...]:
    """Raise where a method has no such settings; returns those that it has."""
    from . import get_method

    known = get_method(method).parameter_names()
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        _say_argument(unknown, call, known)
        msg = f"method {method!r} has no setting {some(unknown)}; it has: {', '.join(sorted(known)) or 'none'}"
        raise TypeError(msg)
    return known


def check_seed(seed: Any) -> None:
    """Raise where a seed is no whole number of 0 or more."""
    if isinstance(seed, (bool, np.bool_)) or not isinstance(seed, Integral):
        msg = f"`seed` is a whole number, not {seed!r}"
        raise TypeError(msg)
    if seed < 0:
        msg = f"seed={seed!r} must be 0 or more"
        raise ValueError(msg)


def _say_argument(names: Iterable[str], call: Callable[..., Any], settings: Sequence[str] = ()) -> None:
    """Raise where one of the names is most like an argument of the call, and not like a setting."""
    arguments = [name for name, one in inspect.signature(call).parameters.items() if one.kind is not one.VAR_KEYWORD]
    for name in names:
        close = difflib.get_close_matches(name.lower(), [*settings, *arguments], n=1)
        if close and close[0] in arguments and close[0] not in settings:
            msg = f"{call.__name__} has no argument {name!r}; did you mean `{close[0]}`?"
            raise TypeError(msg)


def _path(model: Any) -> str | os.PathLike[str]:
    if isinstance(model, (str, os.PathLike)):
        return model
    msg = f"`model` is a trained method, the folder it was saved to or a hub repository, not {type(model).__name__}"
    raise TypeError(msg)
