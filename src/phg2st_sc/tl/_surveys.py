"""Slides as those who plan a measurement see them: read like a prediction, of which only what was measured is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import _keys
from .._reading import (
    Measured,
    Panel,
    Reading,
    has_features,
    measured_somewhere,
    model_panel,
    prompted_panel,
    read_measured,
    slide_arrays,
    why_ignored,
    without_features,
)
from .._slide import is_target
from .._warn import warn_user
from ..models import PHG2ST
from ._predict_slides import features_of_method, reading_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from .._arrays import Prompts, SlideArrays
    from .._slide import Slide
    from ..models import Estimator


@dataclass(frozen=True, eq=False)
class Surveyed:
    """One slide, and what was measured of it so far.

    Attributes
    ----------
    slide
        The slide.
    arrays
        Its image side.
    mask
        (n,) which spots were measured.
    prompts
        Their expression; ``None`` where there is none.
    """

    slide: Slide
    arrays: SlideArrays
    mask: NDArray[np.bool_]
    prompts: Prompts | None

    @property
    def candidates(self) -> NDArray[np.int64]:
        """Spots that can be measured and were not: no targets of ``pp.add_targets``."""
        return np.flatnonzero(~is_target(self.slide.table, self.slide.rows) & ~self.mask)


def default_alone(estimator: Estimator) -> PHG2ST:
    """The estimator, which has to be the default: only its covariance is known before anything is measured."""
    if isinstance(estimator, PHG2ST):
        return estimator
    msg = (
        f"`model` is of method {estimator.name!r}, and measurements are planned for the default, {PHG2ST.name!r}: leave `model=` out, or "
        "train one with `phg2st_sc.tl.train(slides)`."
    )
    raise ValueError(msg)


def surveyed(data: Any, said: Reading, estimator: PHG2ST, prompt_mask: Any) -> tuple[list[Surveyed], str | None]:
    """Slides of an object with what was measured of them, and the key of the image features that are looked at."""
    reading = said.after(reading_of(estimator.card), data, of="The model was trained")
    slides = reading.slides(data)
    table = slides[0].table
    rep = features_of_method(table, said, reading, estimator)
    _warn_without_image(slides, rep)
    if prompt_mask is None and _keys.PROMPT not in table.obs:
        prompt_mask = np.zeros(table.n_obs, dtype=bool)
    measured = [read_measured(reading, slide, prompt_mask, allow_zero=True) for slide in slides]
    panel = _panel(table, reading, estimator, measured)
    key = estimator.card.get(_keys.HYPERGRAPH_KEY)
    return [
        Surveyed(one.slide, slide_arrays(one.slide, rep, hypergraph_key=key), one.mask, _prompts(one, panel))
        for one in measured
    ], rep


def _panel(table: AnnData, reading: Reading, estimator: PHG2ST, measured: Sequence[Measured]) -> Panel | None:
    if not any(one.index.size for one in measured):
        return None
    if estimator.genes is None:
        return prompted_panel(table, measured, None)
    return model_panel(table, estimator.genes, gene_key=reading.gene_key).among(measured_somewhere(measured))


def _prompts(measured: Measured, panel: Panel | None) -> Prompts | None:
    return None if panel is None or not measured.index.size else panel.prompts(measured, 1.0)


def _warn_without_image(slides: Sequence[Slide], rep: str | None) -> None:
    if without_features(slides, [rep if has_features(slide, rep) else None for slide in slides]):
        msg = (
            "No image features: planned by the places of the spots alone; call `phg2st_sc.pp.extract_embeddings(data)` first "
            f"to use the image.{why_ignored(slides[0].table)}"
        )
        warn_user(msg)
