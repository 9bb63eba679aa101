"""What a prediction leaves in ``uns``: who made it, from what, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .. import _keys
from .._provenance import FINGERPRINTS, names_hash, package_versions
from .._reading import identity

if TYPE_CHECKING:
    from ._predict import Predicted

_T = TypeVar("_T")


def facts(done: Predicted, seed: int) -> dict[str, Any]:
    """Provenance of a prediction, as ``uns`` takes it."""
    from ..models import parameters

    record = done.table.uns.get(_keys.EMBEDDINGS, {}).get(done.rep, {}) if done.rep else {}
    return {
        _keys.METHOD: done.estimator.name,
        "parameters": storable(parameters(done.estimator)),
        _keys.MODEL: storable({k: v for k, v in done.estimator.card.items() if k != FINGERPRINTS}),
        "trained_on": by_slide({name: slide for name, slide in done.trained_on.items() if slide}),
        "genes": np.array(done.genes, dtype=object),
        _keys.TARGET_SUM: done.target_sum,
        "scale": "log1p(target_sum * rate)",
        "use_rep": done.rep or "",
        _keys.FEATURES: storable(identity(record)),
        "n_prompts": by_slide({s.name: int(done.mask[s.rows].sum()) for s in done.slides}),
        _keys.DETAILS: by_slide({s.name: storable(done.by_slide[s.name].details) for s in done.slides}),
        "seed": seed,
        _keys.NAMES_HASH: names_hash(done.table.obs_names),
        "versions": package_versions(),
    }


def by_slide(facts_by_name: Mapping[str, _T]) -> dict[str, _T]:
    """What ``uns`` may hold of each slide: keys as :func:`phg2st_sc._keys.slide_entry` writes them."""
    return {_keys.slide_entry(name): fact for name, fact in facts_by_name.items()}


def storable(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as h5ad and zarr take it: no None, no tuples, no nested lists."""
    out: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            out[str(key)] = storable(value)
        elif isinstance(value, (list, tuple)):
            out[str(key)] = np.array(value, dtype=object if any(isinstance(v, str) for v in value) else None)
        elif value is not None:
            out[str(key)] = value
    return out
