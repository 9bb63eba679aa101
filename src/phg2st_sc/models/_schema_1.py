"""Saved models of version 0.1, in the names of today."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from .._state import described

State = dict[str, Any]
Arrays = dict[str, NDArray[Any]]

_RENAMED = (
    (r"^basis$", "basis.vectors"),
    (r"^basis_variance$", "basis.variance"),
    (r"^regression_", "regression."),
    (r"regression\.centre$", "regression.center"),
    (r"regression\.(mean|directions|landmarks|whiten|scale)$", r"regression.radial.\1"),
)
"""Of arrays of the simple methods."""


def as_schema_2(record: dict[str, Any], arrays: Arrays) -> tuple[dict[str, Any], Arrays]:
    """What a folder held, as it is held today."""
    method, parameters = _method(record["method"], record["parameters"])
    state, arrays = _learned(record["state"], arrays)
    return {**record, "method": method, "parameters": parameters, "state": state}, arrays


def _method(name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The published network was a form of the default method, with the settings of both."""
    if name != "phg2st":
        return name, dict(parameters)
    paper = parameters["fusion"] == "paper"
    name = "phg2st_paper" if paper else name
    others = {"fusion", *(("n_components", "correction", "without") if paper else ("preset", "prompt_fraction"))}
    return name, {
        key: value for key, value in parameters.items() if key not in others and (key, value) != ("preset", None)
    }


def _learned(state: State, arrays: Arrays) -> tuple[State, Arrays]:
    if any(name in state for name in ("network", "knowledge")):
        return state, arrays
    new: State = {"genes": state.get("genes") or None, "record": state.get("record", {})}
    if "covariance" in state:
        length_scale, mix, ratio = state["covariance"]
        new["learned"] = {"kernel": {"length_scale": length_scale, "mix": mix}, "ratio": ratio}
    named = {_renamed(name): array for name, array in arrays.items()}
    kept = {name: array for name, array in named.items() if not name.endswith("radial.scale")}
    for name, array in named.items():
        _put(new, name.split("."), described(array) if name in kept else float(array[0]))
    return new, kept


def _renamed(name: str) -> str:
    for old, new in _RENAMED:
        name = re.sub(old, new, name)
    return name


def _put(settings: State, path: list[str], value: Any) -> None:
    for name in path[:-1]:
        settings = settings.setdefault(name, {})
    settings[path[-1]] = value
