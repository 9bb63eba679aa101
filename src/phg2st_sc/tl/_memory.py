"""A word beforehand where a prediction will take more memory than there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .._slide import n_columns
from .._warn import warn_user
from ..models import Costs, Sizes, costs_of

if TYPE_CHECKING:
    from .._slide import Slide
    from ..models import Estimator

GB = 2.0**30
_RESULT = 4.0
"""Bytes of a predicted value, kept until all slides are predicted."""


def sizes_of(slide: Slide, rep: str | None, *, n_prompts: int, n_genes: int, n_shown: int) -> Sizes:
    """Sizes of a slide, and of the embeddings that a method looks at."""
    n_features = 0 if rep is None else n_columns(slide.table.obsm[rep])
    return Sizes(slide.n_spots, n_prompts, n_genes, n_shown, n_features)


def warn_of_memory(estimator: Estimator, sizes: Mapping[str, Sizes]) -> None:
    """Warn of slides, by name, whose prediction is not expected to fit, where the method was measured."""
    costs = costs_of(estimator)
    if costs is None:
        return
    name, peak = max(peaks(costs, sizes).items(), key=lambda item: item[1])
    free, one = free_memory(), sizes[name]
    if peak > free:
        msg = (
            f"Slide {name!r} ({one.n_spots:,} spots, {one.n_prompts:,} prompts, {one.n_genes:,} genes) will take about "
            f"{peak / GB:.1f} GB, and {free / GB:.1f} GB are free. Choose fewer genes (`phg2st_sc.pp.select_genes(data)`), "
            "return some of them (`genes=[...]`), or predict regions of the slide one after the other."
        )
        warn_user(msg)


def peaks(costs: Costs, sizes: Mapping[str, Sizes]) -> dict[str, float]:
    """Bytes at the height of the prediction of each slide, with the results of those before it."""
    kept, found = 0.0, {}
    for name, one in sizes.items():
        found[name] = kept + costs.bytes_of(one)
        kept += _RESULT * one.n_spots * one.n_shown
    return found


def free_memory() -> float:
    """Bytes of memory that can be taken without swapping."""
    import psutil

    return float(psutil.virtual_memory().available)
