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
    (r"(^|\.)basis$", r"\1basis.vectors"),
    (r"(^|\.)basis_variance$", r"\1basis.variance"),
    (r"^regression_", "regression."),
    (r"regression\.centre$", "regression.center"),
    (r"regression\.(mean|directions|landmarks|whiten|scale)$", r"regression.radial.\1"),
    (r"^knowledge\.reference\.", "knowledge.references."),
    (r"^correction\.mean$", "correction.stats.mean"),
    (r"^correction\.std$", "correction.stats.scale"),
    (r"^features\.", "trained.stats."),
    (r"^(level$|extra\.)", r"trained.\1"),
)
_NETWORKS = {"network.": "trained.network.", "correction.network.": "correction.network."}
_VIEWS = ("surroundings", "both", "own")


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
    new = {"genes": state.get("genes") or None, "record": state.get("record", {})}
    new |= {name: state[name] for name in ("knowledge", "correction") if name in state}
    if "covariance" in state:
        length_scale, mix, ratio = state["covariance"]
        new["learned"] = {"kernel": {"length_scale": length_scale, "mix": mix}, "ratio": ratio}
    if "network" in state:
        new["trained"] = {name: value for name, value in state.items() if name != "genes"}
    if "knowledge" in state:
        references = [
            {"name": name, "patient": patient, "channels": None} for name, patient in state["knowledge"]["references"]
        ]
        new["knowledge"] = {**state["knowledge"], "references": references}
    kept = {}
    for old, array in arrays.items():
        weights = next((n + old.removeprefix(o) for o, n in _NETWORKS.items() if old.startswith(o)), None)
        name = weights or _renamed(old)
        if name.endswith("regression.view"):
            _put(new, name, _VIEWS[int(array[0])])
        elif name.endswith("regression.radial.scale"):
            _put(new, name, float(array[0]))
        else:
            kept[name] = array
            if weights is None:
                _put(new, name, described(array))
    return new, kept


def _renamed(name: str) -> str:
    for old, new in _RENAMED:
        name = re.sub(old, new, name)
    return name


def _put(settings: Any, path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        settings = settings[int(name)] if isinstance(settings, list) else settings.setdefault(name, {})
    settings[last] = value
