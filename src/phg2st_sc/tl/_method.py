"""From what a call names to the method that predicts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .._text import some

if TYPE_CHECKING:
    from ..models import Estimator

DEFAULT_METHOD = "best_simple"
"""What predicts when neither a model nor a method is given."""


def choose_estimator(
    model: Estimator | str | os.PathLike[str] | None, method: str | None, seed: int, parameters: Mapping[str, Any]
) -> Estimator:
    from ..models import Estimator, get_method, load

    if model is not None and method is not None:
        msg = f"both `model` and `method={method!r}` are given: a model is a trained method, so pass one of the two"
        raise ValueError(msg)
    if model is not None:
        if parameters:
            msg = f"{some(parameters)} cannot be set on a trained model: train it with them"
            raise TypeError(msg)
        return model if isinstance(model, Estimator) else load(_path(model))
    name = method or DEFAULT_METHOD
    made = get_method(name)
    known = made.parameter_names()
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        msg = f"method {name!r} has no setting {some(unknown)}; it has: {', '.join(sorted(known)) or 'none'}"
        raise TypeError(msg)
    estimator = made(**({"seed": seed} if "seed" in known else {}), **parameters)
    if estimator.needs_fit:
        msg = f"method {name!r} must be trained first: `model = phg2st_sc.tl.train(slides, method={name!r})`"
        raise ValueError(msg)
    return estimator


def _path(model: Any) -> str | os.PathLike[str]:
    if isinstance(model, (str, os.PathLike)):
        return model
    msg = f"`model` is a trained method, the folder it was saved to or a hub repository, not {type(model).__name__}"
    raise TypeError(msg)
