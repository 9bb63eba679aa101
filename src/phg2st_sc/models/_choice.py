"""From what a call names to the method that predicts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from .. import _keys
from .._text import quoted
from ._arguments import check_parameters, check_seed, suggest_argument
from ._base import Estimator
from ._load import load
from ._registry import create, get_method

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
    if model is not None and method is not None:
        msg = f"Both `model` and `method={method!r}` are given: a model is a trained method, so pass one of the two."
        raise ValueError(msg)
    check_seed(seed)
    if model is None:
        wanted = get_method(DEFAULT_METHOD if method is None else method)
        return _new(*wanted.called_today(parameters), seed, call)
    if parameters:
        suggest_argument(parameters, call)
        msg = f"{quoted(parameters)} cannot be set on a trained model: give it to `phg2st_sc.tl.train`, or where the model is made."
        raise TypeError(msg)
    if isinstance(model, Estimator):
        return _of_sections(model)
    if isinstance(model, (str, os.PathLike)):
        return _of_sections(_trained(load(model), model))
    if isinstance(model, type) and issubclass(model, Estimator):
        msg = f"`model={model.__name__}` is the class of a method: pass `method={model.name!r}`, or what `phg2st_sc.tl.train` returned."
        raise TypeError(msg)
    msg = f"`model` is a trained method, the folder it was saved to or a hub repository, not {type(model).__name__}."
    raise TypeError(msg)


def _of_sections(model: Estimator) -> Estimator:
    """The model, unless it is a prior of single cells: these vary more than spots, by how much only ``prior=`` asks the prompts."""
    if _keys.N_CELLS in (model.card.get(_keys.PRIOR) or {}):
        msg = (
            "`model` was learned from single cells, which says how genes go together, and not how spots of a section vary: pass "
            "it as `prior=`."
        )
        raise ValueError(msg)
    return model


def _trained(loaded: Estimator, path: str | os.PathLike[str]) -> Estimator:
    """What a folder holds, unless it is settings alone by which a network would be trained now."""
    if loaded.trains_alone and not loaded.is_fitted:
        msg = (
            f"{path} holds settings of method {loaded.name!r}, which is not trained: pass method={loaded.name!r} to train it on the "
            "prompts of the slide, or train it on other slides with `phg2st_sc.tl.train`."
        )
        raise ValueError(msg)
    return loaded


def _new(name: str, parameters: Mapping[str, Any], seed: int, call: Callable[..., Any]) -> Estimator:
    known = check_parameters(name, parameters, call)
    estimator = create(name, **({"seed": seed} if "seed" in known else {}), **parameters)
    if estimator.needs_fit:
        settings = "".join(f", {key}={value!r}" for key, value in parameters.items())
        msg = f"Method {name!r} must be trained first: `model = phg2st_sc.tl.train(slides, method={name!r}{settings})`."
        raise ValueError(msg)
    return estimator
