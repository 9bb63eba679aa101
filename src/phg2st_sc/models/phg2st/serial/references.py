"""Training sections as references: what was measured where a new section of the same patient lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...._arrays import Prompts, SlideArrays, TrainingSlide
from ....linear import MAX_EXACT, Covariance, GeneBasis, Kernel, Places, Working, predict_columns
from .cells import Cells
from .low_rank import LowRank
from .poses import Drawing, Pose, find_poses

Array = NDArray[np.float64]

N_CHANNELS = 8
"""Image components by which sections are laid on each other."""
_N_REST = 32
_KERNEL = Kernel(4.0, longer=8.0)
"""In spacings of the reference."""
_FIELD_RATIO, _REST_RATIO = 0.15, 0.02
"""Of the gene components, by what the cohort expects of each, and of what they miss."""
_SAMPLED = 4
_SAME_PLACE = 1e-3
"""In pitches; places are kept in single precision."""
_WIDTH = 1.0
"""Of the weights by which the nearest reference spots are averaged, in spacings of the reference."""
_REACH = 1.5
"""Spacings beyond which what a reference says begins to fade."""
_BLOCK = 8192
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
    spacing
        Edge in pitches of the cells into which the spots of a large section were gathered; 1 where none were.
    """

    name: str
    patient: str
    positions: Annotated[Array, "n 2"]
    channels: Annotated[Array, "n c"] | None
    components: Annotated[Array, "n K"]
    rest: Annotated[Array, "n r"]
    rest_genes: Annotated[Array, "r G"]
    spacing: Annotated[float, "> 0"] = 1.0

    @cached_property
    def tree(self) -> cKDTree:
        """Of the positions."""
        return cKDTree(self.positions)

    def is_of(self, slide: SlideArrays) -> bool:
        """Whether it is the slide itself: by name and places, since two sections may be called the same."""
        if self.name != slide.name:
            return False
        places = slide.positions if self.spacing == 1.0 else Cells.of(slide.positions).positions
        distance, _ = cKDTree(places).query(self.positions)
        return bool(distance.max() < _SAME_PLACE)


def make_reference(slide: TrainingSlide, basis: GeneBasis, spread: Array, channels: Array | None) -> Reference | None:
    """Krige a section onto its own spots; ``None`` where its patient is unknown, or too little was measured."""
    if slide.arrays.patient is None:
        return None
    cells = Cells.of(slide.arrays.positions)
    counts = cells.sums(slide.counts)
    kept = np.flatnonzero(counts.sum(axis=1, dtype=np.float64) > 0)
    if kept.size < 3:
        return None
    positions = cells.positions[kept]
    prompts = Prompts(np.arange(kept.size), counts[kept], cells.sums(slide.totals)[kept], 1.0, slide.genes)
    working = Working.of(prompts, spread=spread)
    columns = working.values @ basis.vectors
    missed = working.values - columns @ basis.vectors.T
    # both by one kernel: its system is worked out once
    signal = basis.signal(working.depth, rounded=kept.size > MAX_EXACT)
    ratios = np.concatenate(
        [np.broadcast_to(_FIELD_RATIO * signal, columns.shape[1]), np.full(missed.shape[1], _REST_RATIO)]
    )
    smoothed = predict_columns(
        Places.of(positions),
        working.index,
        working.noise,
        np.hstack([columns, missed]),
        Covariance(_KERNEL.stretched(cells.spacing), 1.0),
        ratios,
    )
    components, rest = smoothed[:, : columns.shape[1]], smoothed[:, columns.shape[1] :]
    left, singular, right = np.linalg.svd(rest - rest.mean(axis=0), full_matrices=False)
    return Reference(
        slide.arrays.name,
        slide.arrays.patient,
        _rounded(positions),
        None if channels is None else _rounded(cells.means(channels)[kept]),
        _rounded(components - components.mean(axis=0)),
        _rounded(left[:, :_N_REST] * singular[:_N_REST]),
        _rounded(right[:_N_REST]),
        cells.spacing,
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
    spots
        (n, 2) spots of the slide, in lattice pitches.
    poses
        How they may lie, the best first.
    """

    reference: Reference
    spots: Array
    poses: tuple[Pose, ...]

    def take(self, rows: NDArray[np.int64]) -> Laid:
        """The same with some of the spots."""
        return replace(self, spots=self.spots[rows])


def lay_on(positions: Array, channels: Array | None, references: Sequence[Reference]) -> list[Laid]:
    """Lay a slide on references; those on which it finds no place are left out."""
    cells = Cells.of(positions)
    drawn = None if channels is None else cells.means(channels)
    laid = []
    for reference in references:
        both = drawn is not None and reference.channels is not None
        section = Drawing.of(cells.positions, drawn if both else None, cells.spacing)
        other = Drawing.of(reference.positions, reference.channels if both else None, reference.spacing)
        poses = tuple(pose for pose in find_poses(section, other) if np.isfinite(pose.score))
        if poses:
            laid.append(Laid(reference, positions, poses))
    return laid


def serial_trend(
    laid: Sequence[Laid], index: NDArray[np.int64], columns: Array, noise: Array, scale: Array
) -> tuple[Array, LowRank] | None:
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
    sampled = [
        _sample(one.reference, one.poses[_best_pose(one, index, columns, noise, scale)], one.spots) for one in laid
    ]
    genes = np.concatenate([one.reference.rest_genes for one in laid]) / len(laid)
    rest = np.concatenate([scores for _, scores in sampled], axis=1)
    return np.mean([components for components, _ in sampled], axis=0), LowRank(rest, genes)


def _best_pose(one: Laid, index: NDArray[np.int64], columns: Array, noise: Array, scale: Array) -> int:
    if index.size == 0 or len(one.poses) == 1:
        return 0
    trust = index.size / (index.size + _PROMPTS_TO_TRUST)
    fit = [_agreement(one.reference, pose(one.spots[index]), columns / scale, noise, scale) for pose in one.poses]
    return int(np.argmax(np.asarray([pose.score for pose in one.poses]) + trust * np.asarray(fit)))


def _agreement(reference: Reference, where: Array, columns: Array, noise: Array, scale: Array) -> float:
    there = _weights(reference, where)
    expected = _average(reference.components / scale, *there)
    weight = (1.0 / noise)[:, None]
    power = float((weight * columns**2).sum() * (weight * expected**2).sum())
    return float((weight * columns * expected).sum() / np.sqrt(power)) if power > 0 else 0.0


def _sample(reference: Reference, pose: Pose, spots: Array) -> tuple[Array, NDArray[np.float32]]:
    """Components (n, k) and scores of the rest (n, r) where the spots lie, about zero over them."""
    components = np.empty((len(spots), reference.components.shape[1]))
    rest = np.empty((len(spots), reference.rest.shape[1]), dtype=np.float32)
    for start in range(0, len(spots), _BLOCK):
        rows = slice(start, start + _BLOCK)
        there = _weights(reference, pose(spots[rows]))
        components[rows] = _average(reference.components, *there)
        rest[rows] = _average(reference.rest, *there)
    components -= components.mean(axis=0)
    rest -= rest.mean(axis=0, dtype=np.float64).astype(np.float32)
    return components, rest


def _weights(reference: Reference, where: Array) -> tuple[NDArray[np.int64], Array]:
    """Nearest reference spots of every place and their weights, which fade outside the reference."""
    n = min(_SAMPLED, len(reference.positions))
    distance, nearest = reference.tree.query(where, k=np.arange(1, n + 1))
    distance /= reference.spacing
    weight = np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / _WIDTH**2)
    fade = np.exp(-np.maximum(distance[:, 0] - _REACH, 0.0))
    return nearest, weight * (fade / weight.sum(axis=1))[:, None]


def _average(values: Array, nearest: NDArray[np.int64], weight: Array) -> Array:
    return np.asarray(np.einsum("nj,njk->nk", weight, values[nearest]))
