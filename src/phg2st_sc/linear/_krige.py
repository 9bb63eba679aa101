"""Kriging over a whole slide: exact for few prompts, in moving neighbourhoods for many."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ._field import Field
from ._gaussian import Covariance, Skill
from ._judge import Judge
from ._kernels import Places
from ._stretch import MIN_TO_CHOOSE, MIN_TO_LENGTHEN, stretched
from ._working import Working

Array = NDArray[np.float64]

MAX_EXACT = 1500
"""Prompts up to which the full system is solved."""
NEIGHBORS = 48
"""Prompts in a moving neighbourhood, plus half as many by the image where the kernel sees it."""
_LOCAL_ROWS = 256
_LOCAL_VALUES = 1 << 23
"""Values of the neighbours of some spots, 64 MB, that are held at a time."""


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
        return _krige_locally(places, index, noise, columns, covariance, signal)
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


def _krige_locally(
    places: Places,
    index: NDArray[np.int64],
    noise: Array,
    columns: Array,
    covariance: Covariance,
    signal: Array | float,
) -> Field:
    prompts = places[index]
    neighbors = _neighborhoods(places, prompts, covariance)
    ratios, which = np.unique(covariance.ratio * np.broadcast_to(signal, columns.shape[1]), return_inverse=True)
    alike = [(ratio, np.flatnonzero(which == position)) for position, ratio in enumerate(ratios)]
    step = int(np.clip(_LOCAL_VALUES // (neighbors.shape[1] * max(columns.shape[1], 1)), 1, _LOCAL_ROWS))

    def few(rows: slice) -> Array:
        near = neighbors[rows]
        among, towards = _local_covariances(places, prompts, rows, near, covariance)
        values, diagonal = columns[near], np.arange(near.shape[1])
        out = np.empty((near.shape[0], columns.shape[1]))
        for ratio, same in alike:
            system = ratio * among
            system[:, diagonal, diagonal] += noise[near]
            weights = np.linalg.solve(system, ratio * towards[..., None])[..., 0]
            out[:, same] = np.einsum("rk,rkc->rc", weights, values[:, :, same], optimize=True)
        return out

    def at(rows: slice) -> Array:
        start, stop, _ = rows.indices(places.n)
        return np.concatenate([few(slice(s, min(s + step, stop))) for s in range(start, stop, step)])

    return Field(places.n, columns.shape[1], at)


def _neighborhoods(places: Places, prompts: Places, covariance: Covariance) -> NDArray[np.int64]:
    by_space = np.asarray(cKDTree(prompts.positions).query(places.positions, k=NEIGHBORS)[1], dtype=np.int64)
    if not covariance.kernel.sees_image(places) or prompts.image is None:
        return by_space
    by_image = cKDTree(prompts.image).query(places.image, k=NEIGHBORS + NEIGHBORS // 2)[1]
    fresh = [i[~np.isin(i, s, assume_unique=True)][: NEIGHBORS // 2] for s, i in zip(by_space, by_image, strict=True)]
    return np.concatenate([by_space, np.asarray(fresh, dtype=np.int64)], axis=1)


def _local_covariances(
    places: Places, prompts: Places, rows: slice, near: NDArray[np.int64], covariance: Covariance
) -> tuple[Array, Array]:
    among_space, to_space = _distances(prompts.positions[near], places.positions[rows])
    among_image = to_image = None
    if covariance.kernel.sees_image(places) and prompts.image is not None and places.image is not None:
        among_image, to_image = _distances(
            prompts.image[near] / places.image_scale, places.image[rows] / places.image_scale
        )
    kernel = covariance.kernel
    return kernel(among_space, among_image) + 1.0, kernel(to_space, to_image) + 1.0


def _distances(points: Array, targets: Array) -> tuple[Array, Array]:
    """Distances among the points of each row, and from them to the row's target."""
    among = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    return among, np.linalg.norm(points - targets[:, None], axis=-1)
