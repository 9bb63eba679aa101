"""What the image of a cohort says about gene components: of spots, of their surroundings, or of both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..._arrays import SlideArrays, TrainingSlide
from ...linear import CohortRegression, LearnedRegression, Lesson, Rows, learn_regression, measured_spots, spot_weight
from .propagated import BOTH, VIEWS, Looks

Array = NDArray[np.float64]

N_IMAGE_COMPONENTS = 50


def n_features(regression: CohortRegression) -> int:
    """Features per spot that slides must have."""
    width = len(regression.radial.mean)
    return width // 2 if regression.view == BOTH else width


def learn_cohort_trend(
    slides: Sequence[TrainingSlide], basis: Array, spread: Array, *, method: str, seed: int = 0
) -> LearnedRegression | None:
    """Fit on the slides with an image; ``None`` where there are none.

    Patients are left out in turn to choose, with one patient slides; with one slide the surroundings and a middle penalty are
    taken.

    Parameters
    ----------
    slides
        Training slides.
    basis
        (G, k) gene components.
    spread
        (G,) noise of the genes in units of the Poisson one.
    method
        Name for messages.
    seed
        Seed of the landmarks.
    """
    imaged = [slide for slide in slides if slide.arrays.features is not None]
    if not imaged:
        return None
    _check_widths([slide.arrays for slide in imaged])
    names = [slide.arrays.name for slide in imaged]
    patients = [slide.arrays.patient or slide.arrays.name for slide in imaged]
    groups = patients if len(set(patients)) > 1 else names

    def lesson(slide: TrainingSlide, group: str) -> Lesson:
        used, totals, values = measured_spots(slide, len(imaged), spread)
        weight = spot_weight(totals, float(np.median(totals)))
        name = slide.arrays.name

        def features(view: str) -> Rows:
            return Looks(slide.arrays, method).standardized(view)

        return Lesson(name, group, name, features, used, values @ basis, weight / weight.mean())

    lessons = [lesson(slide, group) for slide, group in zip(imaged, groups, strict=True)]
    return learn_regression(lessons, views=VIEWS, n_components=N_IMAGE_COMPONENTS, seed=seed)


def _check_widths(slides: Sequence[SlideArrays]) -> None:
    widths = {slide.features.shape[1]: slide.name for slide in slides if slide.features is not None}
    if len(widths) > 1:
        told = ", ".join(f"slide {name!r} has {width}" for width, name in widths.items())
        msg = (
            f"Training slides differ in their number of features per spot ({told}): run "
            "`phg2st_sc.pp.extract_embeddings(data)` on all of them with the same encoder."
        )
        raise ValueError(msg)
