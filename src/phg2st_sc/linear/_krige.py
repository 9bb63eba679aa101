"""Kriging over a whole slide: one system of all prompts, or of more than fit into one, by blocks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ._blockwise import krige_blockwise
from ._field import Field
from ._gaussian import Covariance, Skill
from ._judge import Judge
from ._kernels import Places
from ._stretch import MIN_TO_CHOOSE, MIN_TO_LENGTHEN, stretched
from ._working import WIDE, Working

Array = NDArray[np.float64]

MAX_EXACT = 1500
"""Prompts up to which the full system is solved."""


def predict_columns(
    places: Places,
    index: NDArray[np.int64],
    noise: Array,
    columns: Array,
    covariance: Covariance,
    signal: Array | float = 1.0,
) -> Array:
    """Best linear prediction (n, C) of columns known at the prompts, all at once; see :func:`krige_columns`."""
    return krige_columns(places, index, noise, columns, covariance, signal).whole()


def krige_columns(
    places: Places,
    index: NDArray[np.int64],
    noise: Array,
    columns: Array,
    covariance: Covariance,
    signal: Array | float = 1.0,
) -> Field:
    """Best linear prediction of columns known at the prompts, made where it is asked for.

    Parameters
    ----------
    places
        The n spots of the slide.
    index
        (p,) the prompts among them.
    noise
        (p,) noise variances, 1 at the median prompt.
    columns
        (p, C) values at the prompts, about zero at the level.
    covariance
        Covariance of the signal.
    signal
        (C,) factors of its ratio by column.
    """
    if index.size > MAX_EXACT:
        ratio, width = covariance.ratio * np.broadcast_to(signal, columns.shape[1]), columns.shape[1]

        def solved(few: slice) -> Field:
            kind = np.float64 if width <= WIDE else np.float32
            return krige_blockwise(
                places, index, noise, np.asarray(columns[:, few], dtype=kind), covariance, ratio[few]
            )

        return solved(slice(0, width)) if width <= WIDE else Field.later(places.n, width, solved)
    prompts = places[index]
    weights = covariance.weights(prompts, noise, columns, signal)
    every = np.arange(places.n)
    return Field(places.n, columns.shape[1], lambda rows: covariance.signal(places[every[rows]], prompts) @ weights)


def choose(
    places: Places,
    working: Working,
    columns: Array,
    level: Array,
    default: Covariance,
    others: Iterable[Covariance],
    signal: Array | float = 1.0,
    *,
    stretch_from: float = MIN_TO_LENGTHEN,
) -> tuple[Covariance, Skill]:
    """Keep the default unless another covariance is clearly better on the prompts left out.

    ``level`` is what is taken for known of ``columns`` at each prompt: its rows are linear combinations of theirs. The
    length scales of the one that was kept are then followed wherever the prompts lead, from ``stretch_from`` prompts on.
    """
    every = Judge.of(places, working, columns, level, signal)
    judge = every.of_squares
    best = default, judge(default)
    if working.index.size >= MIN_TO_CHOOSE:
        rated = [(other, judge(other)) for other in others]
        top = max(rated, key=lambda pair: float(pair[1].skill.explained.sum()), default=best)
        if top[1].skill.beats(best[1].skill):
            best = top
    if working.index.size >= stretch_from:
        followed = stretched(every.of_the_strongest(), best[0], places, working.index)
        best = best if followed == best[0] else (followed, judge.about_the_others(followed))
    return best[0], best[1].skill
