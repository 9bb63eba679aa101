"""What a prediction takes, by the sizes of the slide: measured once for every method, by ``benchmarks/calibrate.py``.

Seconds and bytes are sums of terms that grow as the work does, each with a coefficient that is not negative. Seconds are
those of the machine that measured them; how much faster another one is, a small piece of the same work tells.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np

from ..linear import MAX_EXACT
from ._base import Estimator

TRAINED = ", trained"
_OF_SIZE = ("preset", "inputs", "network", "training", "max_epochs", "patience", "batch_size")
"""Settings of a network by which it is another piece of work."""
_PROMPTS_OF_NETWORKS = 1000
"""Up to which networks are averaged into the default."""
_OF_NETWORKS = {"spots x prompts of networks": 2.5e-7}
"""Seconds that three of them add, each of its usual size, by 20,000 to 100,000 bins with 300 to 1,000 prompts. Their memory is no more
than what is said of the linear part, which is rather too high."""
_AT_A_TIME = 2000
"""Prompts and features that a spot is predicted from, where there are more prompts than one system holds."""
_SIDE = 400


@dataclass(frozen=True)
class Sizes:
    """Sizes of one slide.

    Attributes
    ----------
    n_spots, n_prompts
        Spots, and those of them that were measured.
    n_genes
        Genes that the method works with.
    n_shown
        Genes that are returned.
    n_features
        Features of the image, 0 without.
    """

    n_spots: int
    n_prompts: int
    n_genes: int
    n_shown: int
    n_features: int = 0

    def terms(self) -> dict[str, float]:
        """By what time and memory may grow."""
        n, p, g, d = (float(size) for size in (self.n_spots, self.n_prompts, self.n_genes, self.n_features))
        blocks = p if p > MAX_EXACT else 0.0
        reach = _AT_A_TIME if blocks else p
        return {
            "call": 1.0,
            "spots": n,
            "prompts": p,
            "spots x features": n * d,
            "spots x genes": n * g,
            "spots x genes returned": n * self.n_shown,
            "prompts x genes": p * g,
            "spots x reach": n * reach,
            "spots x reach x genes": n * reach * g,
            "spots x prompts of networks": n * p if d and p <= _PROMPTS_OF_NETWORKS else 0.0,
            "system": min(p, MAX_EXACT) ** 3,
            "entries of the system": min(p, MAX_EXACT) ** 2,
            "blocks": blocks,
            "blocks x genes": blocks * g,
            "pairs of spots": n * n,
        }


@dataclass(frozen=True)
class Costs:
    """Coefficients of the terms of a method.

    Attributes
    ----------
    seconds
        Of the machine that measured them.
    bytes
        Beyond the object.
    """

    seconds: Mapping[str, float]
    bytes: Mapping[str, float]

    def seconds_of(self, sizes: Sizes) -> float:
        """Processor seconds of a prediction on this machine."""
        return _sum(self.seconds, sizes) * slowness()

    def bytes_of(self, sizes: Sizes) -> float:
        """Peak of the memory that a prediction takes beyond the object."""
        return _sum(self.bytes, sizes)


def costs_of(estimator: Estimator) -> Costs | None:
    """What was measured of a method in the form that it is in; ``None`` where nothing was."""
    found = _measured()["methods"].get(form_of(estimator))
    if found is None:
        return None
    return Costs(found["seconds"] | (_OF_NETWORKS if estimator.averages_networks else {}), found["bytes"])


def measured_forms() -> list[str]:
    """Methods, trained or not, of which something was measured."""
    return sorted(_measured()["methods"])


def form_of(estimator: Estimator) -> str:
    """Name of a method, whether it is trained, and what a network is told of its size and training."""
    told = {name: default for name, default in _defaults(type(estimator)).items() if name in _OF_SIZE}
    told = {name: value for name, default in told.items() if (value := getattr(estimator, name) or None) != default}
    said = f" with {', '.join(f'{name}={value!r}' for name, value in told.items())}" if told else ""
    return f"{estimator.name}{TRAINED if estimator.is_fitted else ''}{said}"


def _defaults(method: type[Estimator]) -> dict[str, Any]:
    parameters = inspect.signature(method.__init__).parameters
    return {name: one.default for name, one in parameters.items()} if method.kind == "published" else {}


@lru_cache(maxsize=1)
def slowness() -> float:
    """How many times as long as the machine that measured the costs this one takes over the same piece of work."""
    return work() / float(_measured()["seconds_of_work"])


def work() -> float:
    """Processor seconds of a piece of work such as kriging consists of; the least of three times, as others work here too."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(_SIDE, _SIDE))
    return min(_timed(values) for _ in range(3))


def _timed(values: np.ndarray) -> float:
    began = time.process_time()
    np.linalg.eigh(values @ values.T)
    for _ in range(4):
        np.exp(-np.abs(values)) @ values
    return time.process_time() - began


def _sum(coefficients: Mapping[str, float], sizes: Sizes) -> float:
    terms = sizes.terms()
    return float(sum(value * terms[name] for name, value in coefficients.items()))


@lru_cache(maxsize=1)
def _measured() -> dict:
    text = (files("phg2st_sc.models") / "costs.json").read_text(encoding="utf-8")
    return json.loads(text)
