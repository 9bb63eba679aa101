"""What is said of the genes and spots of several slides, as columns of one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._evidence import Assessment
from .._warn import warn_of_each

Assessed: TypeAlias = Mapping[str, Mapping[str, NDArray[Any]]]
"""Columns by slot, ``"var"`` or ``"obs"``, and name."""


def assessed_columns(
    rows: Mapping[str, NDArray[np.int64]], found: Mapping[str, Assessment | None], shape: tuple[int, int]
) -> Assessed:
    """Columns of all slides.

    Parameters
    ----------
    rows
        Rows of every slide in the table, by its name.
    found
        What is said of it.
    shape
        Rows of the table, and predicted genes. What is said of a gene is the mean over the slides that say something of it.
    """
    there = {name: one for name, one in found.items() if one is not None}
    genes = {column for one in there.values() for column in one.genes}
    spots = {column for one in there.values() for column in one.spots}
    return {
        "var": {column: _mean([one.genes.get(column) for one in there.values()], shape[1]) for column in sorted(genes)},
        "obs": {
            column: _spread({name: one.spots.get(column) for name, one in there.items()}, rows, shape[0])
            for column in sorted(spots)
        },
    }


def reasons_untold(facts: Mapping[str, Any]) -> list[str]:
    """What the record of a prediction says on slides of which it could not tell how far to trust it."""
    told: Mapping[str, Any] = facts.get(_keys.TRUST, {})
    return sorted({str(one["sentence"]) for one in told.values() if "sentence" in one})


def warn_of_untold(name: str, assessment: Assessment | None) -> None:
    """Say where it was asked how far a prediction can be trusted, and nothing tells."""
    if assessment is None or _keys.INTERVALS in assessment.facts:
        return
    msg = f"No uncertainty on slide {name!r}: {assessment.facts['sentence']}"
    several = "No uncertainty on slides {which}: too few prompts to leave some out and see how they are predicted."
    warn_of_each(msg, each=repr(name), several=several)


def _mean(of_slides: list[NDArray[Any] | None], n_genes: int) -> NDArray[np.float32]:
    values = np.array([one for one in of_slides if one is not None], dtype=np.float64)
    number = np.isfinite(values).sum(axis=0)
    out = np.full(n_genes, np.nan)
    np.divide(np.nansum(values, axis=0), number, out=out, where=number > 0)
    return out.astype(np.float32)


def _spread(
    of_slides: Mapping[str, NDArray[Any] | None], rows: Mapping[str, NDArray[np.int64]], n_obs: int
) -> NDArray[Any]:
    values = {name: one for name, one in of_slides.items() if one is not None}
    flags = all(one.dtype == np.bool_ for one in values.values())
    out = np.zeros(n_obs, dtype=bool) if flags else np.full(n_obs, np.nan, dtype=np.float32)
    for name, one in values.items():
        out[rows[name]] = one
    return out
