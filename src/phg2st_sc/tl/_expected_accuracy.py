"""Say what accuracy to expect of how many measured spots."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .._checks import is_positive
from .._docs import documented
from .._progress import bar, is_shown, parts
from .._reading import Reading
from .._threads import limited_threads
from .._warn import one_message_per_fault
from ..design import Belief, correlations
from ..models import choose_estimator
from ._surveys import Surveyed, default_alone, surveyed

if TYPE_CHECKING:
    from anndata import AnnData
    from spatialdata import SpatialData

    from ..models import PHG2ST, Estimator

_LEAST = 2
"""Spots below which there is no map."""


@one_message_per_fault
@limited_threads()
@documented
def expected_accuracy(
    data: AnnData | SpatialData,
    *,
    fractions: Sequence[float] = (0.02, 0.05, 0.1, 0.2, 0.3),
    prompt_mask: Any = None,
    model: Estimator | str | os.PathLike[str] | None = None,
    level: float = 0.9,
    use_rep: str | None = None,
    trust_rep: bool = False,
    counts_layer: str | None = None,
    gex_only: bool | str | None = None,
    slide_key: str | None = None,
    table_key: str | None = None,
    coordinate_system: str | None = None,
    pitch: float | Mapping[str, float] | None = None,
    pitch_um: float | None = None,
    gene_key: str | None = None,
    patient_key: str | None = None,
    seed: int = 0,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Say what accuracy to expect of how many measured spots, before they are measured.

    How the depth-free correlation grows with the number of prompts follows from the places of the spots, the image and the covariance of
    the default method, up to one number, how strong the signal of the genes is. Ten or more prompts so far tell it, by how
    well those that are left out in turn are predicted. Without prompts it is taken for what it was on open sections of
    breast, spinal cord, olfactory bulb and synovium, between which it differs by a factor of 20: the bounds are wide then.

    Parameters
    ----------
    {data}
    fractions
        Shares of the spots that will have been measured in all, each above 0 and below 1: of those that were measured, with
        counts or without, and those that can be. Targets of :func:`phg2st_sc.pp.add_targets` are none of them. Those below what was measured
        already are left out, and the present share is added.
    {prompt_mask:so_far}
    model
        A trained default, which brings its covariance, and predicts the prompts that are left out; ``None`` for the default
        without training.
    level
        Of the bounds: how often what is reached lies between them, above 0 and below 1.
    {use_rep} {trust_rep} {counts_layer:kept} {gex_only:kept} {slide_key} {table_key} {coordinate_system} {pitch} {pitch_um}
    {gene_key} {patient_key} {seed} {progress:long}

    Returns
    -------
    pandas.DataFrame, a row for each slide, ``design`` and share: ``slide``; ``design``, ``"random"`` spots or those that are
    ``"suggested"`` by :func:`phg2st_sc.tl.suggest_spots`; ``fraction`` and ``n_prompts`` in all; ``expected``, ``lower`` and ``upper``, the mean over
    genes of the correlation with the depth-free target at the other spots, ``pcc`` of :func:`phg2st_sc.tl.evaluate`.
    ``.attrs["left_out"]`` holds by slide the correlation at single prompts that were left out and its standard error, where
    there were enough.

    Raises
    ------
    KeyError
        If a column, layer or embeddings do not exist.
    ValueError
        If a fraction or ``level`` is out of range, or ``model`` is no default.

    Warns
    -----
    UserWarning
        If slides that have an image have no embeddings with a record.

    Notes
    -----
    Of slides of more than 3,000 spots two parts of 2,000 stand for the whole. How it compares with what was reached on
    real sections is told in the guide.

    Examples
    --------
    >>> import phg2st_sc as phg2st
    >>> adata = phg2st.datasets.simulate(n_spots=120, n_genes=60, image=False, progress=False)
    >>> accuracy = phg2st.tl.expected_accuracy(adata, fractions=[0.05, 0.2])
    >>> accuracy["design"].tolist()
    ['random', 'random', 'suggested', 'suggested']
    >>> bool((accuracy["lower"] < accuracy["expected"]).all())
    True
    """
    reading = Reading.among(locals())
    shares = _checked(fractions, level)
    estimator = default_alone(choose_estimator(model, None, seed, {}, expected_accuracy))
    slides, _ = surveyed(data, reading, estimator, prompt_mask)
    frames, left_out = [], {}
    with parts(progress):
        for one in bar(slides, progress=is_shown(progress) and len(slides) > 1, desc="expect", unit="slide"):
            frame, belief = _of_slide(one, estimator, shares, level, seed)
            frames.append(frame)
            if belief.observed is not None:
                left_out[one.slide.name] = {"correlation": belief.observed, "error": belief.error}
    made = pd.concat(frames, ignore_index=True)
    made.attrs["left_out"] = left_out
    return made


def _checked(fractions: Any, level: Any) -> list[float]:
    shares = [fractions] if np.ndim(fractions) == 0 else list(fractions)
    wrong = [share for share in shares if not is_positive(share) or share >= 1]
    if wrong or not shares:
        what = f"holds {wrong[0]!r}" if wrong else "is empty"
        raise ValueError(f"`fractions` {what}: shares of the spots are numbers above 0 and below 1 (0.1 is a tenth).")
    if not is_positive(level) or level >= 1:
        raise ValueError(
            f"level={level!r} must be a number above 0 and below 1: 0.9 for bounds that hold nine times in ten."
        )
    return sorted({float(share) for share in shares})


def _of_slide(
    one: Surveyed, estimator: PHG2ST, shares: list[float], level: float, seed: int
) -> tuple[pd.DataFrame, Belief]:
    survey = estimator.survey(one.arrays, one.prompts)
    left_out = None if one.prompts is None else estimator.predict(one.arrays, one.prompts).left_out
    belief = Belief.of(survey, left_out)
    candidates, now = one.candidates, int(one.mask.sum())
    n = now + candidates.size
    numbers = {max(_LEAST, round(share * n)): share for share in shares}
    numbers = {number: share for number, share in numbers.items() if now < number < n}
    if now and now < n:
        numbers = {now: now / n, **numbers}
    made = correlations(survey, candidates, [number - now for number in numbers], seed) if numbers else {}
    rows = [
        {"slide": one.slide.name, "design": design, "fraction": share, "n_prompts": number}
        | dict(zip(("expected", "lower", "upper"), belief.summary(correlation, number, level), strict=True))
        for design, several in made.items()
        for (number, share), correlation in zip(numbers.items(), several, strict=True)
    ]
    columns = ["slide", "design", "fraction", "n_prompts", "expected", "lower", "upper"]
    return pd.DataFrame(rows, columns=columns), belief
