"""Training sections as references: what was measured where a new section of the same patient lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...._arrays import SlideArrays, TrainingSlide
from ....linear import Covariance, GeneBasis, Kernel, Places, Working, even_subset, predict_columns
from .poses import Drawing, Pose, find_poses

Array = NDArray[np.float64]

N_CHANNELS = 8
"""Image components by which sections are laid on each other."""
MAX_SPOTS = 4000
"""Spots kept of a section."""
_N_REST = 32
_FIELD = Covariance(Kernel(4.0, longer=8.0), 0.15)
_REST = Covariance(Kernel(4.0, longer=8.0), 0.02)
_SAMPLED = 4
_SAME_PLACE = 1e-3
"""In pitches; places are kept in single precision."""
_WIDTH = 1.0
"""Of the weights by which the nearest reference spots are averaged, in pitches."""
_PROMPTS_TO_TRUST = 20.0
"""Prompts at which their agreement weighs half as much in the choice of a pose as the outlines and the image do."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A training section, smoothed over its spots.

    Attributes
    ----------
    name, patient
        Of the section.
    positions
        (n, 2) in lattice pitches.
    channels
        (n, 8) image components, or ``None``.
    components
        (n, k) whitened rates in gene components.
    rest, rest_genes
        (n, r) and (r, G): what the components miss, as a product.
    """

    name: str
    patient: str
    positions: Annotated[Array, "n 2"]
    channels: Annotated[Array, "n c"] | None
    components: Annotated[Array, "n K"]
    rest: Annotated[Array, "n r"]
    rest_genes: Annotated[Array, "r G"]

    def is_of(self, slide: SlideArrays) -> bool:
        """Whether it is the slide itself: by name and places, since two sections may be called the same."""
        if self.name != slide.name:
            return False
        distance, _ = cKDTree(slide.positions).query(self.positions)
        return bool(distance.max() < _SAME_PLACE)


def make_reference(slide: TrainingSlide, basis: GeneBasis, spread: Array, channels: Array | None) -> Reference | None:
    """Krige a section onto its own spots; ``None`` where its patient is unknown, or too little was measured."""
    totals = slide.counts.sum(axis=1, dtype=np.float64)
    measured = np.flatnonzero(totals > 0)
    if slide.arrays.patient is None or measured.size < 3:
        return None
    kept = measured[even_subset(measured.size, MAX_SPOTS)]
    working = Working.of(slide.prompts(kept, target_sum=1.0), spread=spread)
    places = Places.of(slide.arrays.positions)
    columns = working.values @ basis.vectors
    at = (places, working.index, working.noise)
    components = predict_columns(*at, columns, _FIELD, basis.signal(working.depth))[kept]
    rest = predict_columns(*at, working.values - columns @ basis.vectors.T, _REST)[kept]
    left, singular, right = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)
    return Reference(
        slide.arrays.name,
        slide.arrays.patient,
        _rounded(slide.arrays.positions[kept]),
        None if channels is None else _rounded(channels[kept]),
        _rounded(components - components.mean(axis=0)),
        _rounded(left[:, :_N_REST] * singular[:_N_REST]),
        _rounded(right[:_N_REST]),
    )


def _rounded(values: Array) -> Array:
    """To single precision, in which it is kept in half the bytes: a saved model predicts the same bits."""
    return values.astype(np.float32).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Laid:
    """A slide laid on one reference, in the few ways that outlines and image allow.

    Attributes
    ----------
    reference
        The section it lies on.
    positions
        For each pose the (n, 2) spots of the slide in the frame of the reference.
    scores
        Of the poses.
    """

    reference: Reference
    positions: tuple[Array, ...]
    scores: tuple[float, ...]

    def take(self, rows: NDArray[np.int64]) -> Laid:
        """The same with some of the spots."""
        return Laid(self.reference, tuple(where[rows] for where in self.positions), self.scores)


def lay_on(positions: Array, channels: Array | None, references: Sequence[Reference]) -> list[Laid]:
    """Lay a slide on references; those on which it finds no place are left out."""
    laid = []
    for reference in references:
        both = channels is not None and reference.channels is not None
        section = Drawing.of(positions, channels if both else None)
        other = Drawing.of(reference.positions, reference.channels if both else None)
        poses = [pose for pose in find_poses(section, other) if np.isfinite(pose.score)]
        if poses:
            laid.append(Laid(reference, tuple(_moved(section, other, p) for p in poses), tuple(p.score for p in poses)))
    return laid


def _moved(section: Drawing, other: Drawing, pose: Pose) -> Array:
    return pose(section.positions, section.positions.mean(axis=0), other.positions.mean(axis=0))


def serial_trend(
    laid: Sequence[Laid], index: NDArray[np.int64], columns: Array, noise: Array, scale: Array
) -> tuple[Array, Array] | None:
    """Mean over references of what was measured where the slide lies; ``None`` without a reference.

    The prompts have a say in which pose is taken.

    Parameters
    ----------
    laid
        The slide on each reference.
    index, columns, noise
        (p,) prompts, their (p, k) components and (p,) noise variances.
    scale
        (k,) signal standard deviations of the components.

    Returns
    -------
    (n, k) components and (n, G) remainder.
    """
    if not laid:
        return None
    sampled = [_sample(one.reference, one.positions[_best_pose(one, index, columns, noise, scale)]) for one in laid]
    return np.mean([c for c, _ in sampled], axis=0), np.mean([r for _, r in sampled], axis=0)


def _best_pose(one: Laid, index: NDArray[np.int64], columns: Array, noise: Array, scale: Array) -> int:
    if index.size == 0 or len(one.positions) == 1:
        return 0
    trust = index.size / (index.size + _PROMPTS_TO_TRUST)
    fit = [_agreement(one.reference, where[index], columns / scale, noise, scale) for where in one.positions]
    return int(np.argmax(np.asarray(one.scores) + trust * np.asarray(fit)))


def _agreement(reference: Reference, where: Array, columns: Array, noise: Array, scale: Array) -> float:
    there = _weights(reference, where)
    expected = _average(reference.components / scale, *there)
    weight = (1.0 / noise)[:, None]
    power = float((weight * columns**2).sum() * (weight * expected**2).sum())
    return float((weight * columns * expected).sum() / np.sqrt(power)) if power > 0 else 0.0


def _sample(reference: Reference, where: Array) -> tuple[Array, Array]:
    there = _weights(reference, where)
    components = _average(reference.components, *there)
    rest = _average(reference.rest, *there) @ reference.rest_genes
    return components - components.mean(axis=0), rest - rest.mean(axis=0)


def _weights(reference: Reference, where: Array) -> tuple[NDArray[np.int64], Array]:
    """Nearest reference spots of every place and their weights, which fade outside the reference."""
    n = min(_SAMPLED, len(reference.positions))
    distance, nearest = cKDTree(reference.positions).query(where, k=np.arange(1, n + 1))
    weight = np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / _WIDTH**2)
    fade = np.exp(-np.maximum(distance[:, 0] - 1.5, 0.0))
    return nearest, weight * (fade / weight.sum(axis=1))[:, None]


def _average(values: Array, nearest: NDArray[np.int64], weight: Array) -> Array:
    return np.asarray(np.einsum("nj,njk->nk", weight, values[nearest]))
