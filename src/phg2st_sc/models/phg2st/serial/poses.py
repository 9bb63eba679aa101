"""Lay one section on another: rigid registration of serial sections on the capture lattice.

Serial sections are cut a few µm apart and lie on their capture areas turned and shifted. Both are drawn on a coarse grid as
channels (tissue, image components); for every rotation, with and without a flip, all shifts are scored at once by Fourier
transforms, and the best poses are refined at the spots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.spatial import cKDTree

from .raster import Raster

Array = NDArray[np.float64]
Nearest = Callable[[Array], NDArray[np.integer]]
"""Number of the spot that is nearest to each place, -1 where none is within reach."""

_ANGLES = np.arange(0.0, 360.0, 10.0)
_MAX_CELLS = 72
"""Cells along the longer side of a section; larger sections are drawn coarser."""
_REACH = 1.5
"""Cells within which a spot of the other section counts as lying on a spot."""
_MAX_EXACT = 4000
"""Spots of a section up to which the nearest spot is searched for, and not looked up on a raster."""
_KEPT = 12
_LEAST_OVERLAP = 0.5
_STEPS = (1.0, 0.5, 0.25)
_DEGREES = 5.0
_AS_MOUNTED = 0.05
"""Bonus of a section that lies unturned, malus of a flipped one: serial sections are mounted alike, and many outlines are
near to symmetric."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """A section as the registration sees it.

    Attributes
    ----------
    positions
        (n, 2) in lattice pitches.
    channels
        (n, c) centered, of unit variance over the section; no channel is fine.
    spacing
        Distance of neighboring positions, in pitches.
    """

    positions: Array
    channels: Array
    spacing: float = 1.0

    @classmethod
    def of(cls, positions: Array, channels: Array | None, spacing: float = 1.0) -> Drawing:
        """Standardise channels; ``None`` draws the tissue alone."""
        if channels is None:
            return cls(positions, np.zeros((len(positions), 0)), spacing)
        spread = channels.std(axis=0)
        centered = channels - channels.mean(axis=0)
        return cls(positions, centered / np.where(spread > 1e-12, spread, 1.0), spacing)

    @property
    def center(self) -> tuple[float, float]:
        """Mean of the positions."""
        x, y = self.positions.mean(axis=0)
        return float(x), float(y)

    @property
    def cell(self) -> float:
        """Size of a grid cell in pitches."""
        return max(self.spacing, float(np.ptp(self.positions, axis=0).max()) / _MAX_CELLS)


@dataclass(frozen=True)
class Pose:
    """Where a section lies on another: flip, turn by degrees about its center, shift of the centers in pitches.

    Attributes
    ----------
    center, onto
        Center of the section, and of the other one.
    score
        Overlap of the tissues plus correlation of the channels where they overlap.
    """

    flip: bool
    degrees: float
    shift: tuple[float, float]
    center: tuple[float, float] = (0.0, 0.0)
    onto: tuple[float, float] = (0.0, 0.0)
    score: float = -np.inf

    def __call__(self, positions: Array) -> Array:
        """Positions (n, 2) of the section, in the frame of the other one."""
        turned = (positions - np.asarray(self.center)) @ _rotation(self.flip, self.degrees).T
        return turned + np.asarray(self.onto) + np.asarray(self.shift)


def find_poses(section: Drawing, other: Drawing) -> list[Pose]:
    """Up to a dozen poses of a section on another, the best first, far enough apart to be different answers."""
    cell = max(section.cell, other.cell)
    found = sorted(_search(section, other, cell), key=lambda pose: -pose.score)
    kept: list[Pose] = []
    for pose in found:
        if all(_differ(pose, before) for before in kept):
            kept.append(pose)
        if len(kept) == _KEPT:
            break
    is_large = max(len(section.positions), len(other.positions)) > _MAX_EXACT
    nearest = (Raster.of if is_large else _exactly)(other.positions, _REACH * cell)
    refined = [_refine(section, other, nearest, pose, cell) for pose in kept]
    return sorted(refined, key=lambda pose: -pose.score)


def _rotation(flip: bool, degrees: float) -> Array:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.diag([-1.0 if flip else 1.0, 1.0])


def _habit(flip: bool, degrees: float) -> float:
    return _AS_MOUNTED * float(np.cos(np.deg2rad(degrees)) - flip)


def _differ(one: Pose, other: Pose) -> bool:
    turned = abs((one.degrees - other.degrees + 180.0) % 360.0 - 180.0)
    shifted = float(np.hypot(one.shift[0] - other.shift[0], one.shift[1] - other.shift[1]))
    return one.flip != other.flip or turned > 2 * _DEGREES or shifted > 2 * _REACH


def _search(section: Drawing, other: Drawing, cell: float) -> Iterator[Pose]:
    """Best few shifts of every rotation."""
    center, onto = section.center, other.center
    reach = max(np.linalg.norm(d.positions - d.center, axis=1).max() for d in (section, other)) / cell
    half = int(np.ceil(reach)) + 1
    size = next_fast_len(4 * half + 1, real=True)
    target = _Spectra.of((other.positions - onto) / cell, other.channels, half, size)
    for flip in (False, True):
        for degrees in _ANGLES:
            turned = (section.positions - center) @ _rotation(flip, degrees).T / cell
            score = _Spectra.of(turned, section.channels, half, size).scores(target) + _habit(flip, degrees)
            for flat in np.argsort(-score, axis=None, kind="stable")[:3]:
                row, column = np.unravel_index(flat, score.shape)
                dx, dy = (float(cell * ((at + size // 2) % size - size // 2)) for at in (column, row))
                yield Pose(flip, float(degrees), (dx, dy), center, onto, float(score[row, column]))


@dataclass(frozen=True, eq=False)
class _Spectra:
    """Fourier transforms of a drawn section: its tissue, its channels, and their summed squares."""

    n_cells: float
    tissue: NDArray[np.complex128]
    channels: NDArray[np.complex128]
    squares: NDArray[np.complex128]
    size: int

    @classmethod
    def of(cls, points: Array, channels: Array, half: int, size: int) -> _Spectra:
        cells = np.rint(points).astype(np.int64) + half
        flat = cells[:, 1] * size + cells[:, 0]
        count = np.bincount(flat, minlength=size * size).astype(np.float64)
        drawn = channels if channels.shape[1] else np.zeros((len(points), 1))
        sums = np.stack([np.bincount(flat, weights=one, minlength=size * size) for one in drawn.T])
        means = (sums / np.maximum(count, 1.0)).reshape(-1, size, size)
        tissue = (count > 0).astype(np.float64).reshape(size, size)
        return cls(float(tissue.sum()), rfft2(tissue), rfft2(means), rfft2((means**2).sum(axis=0)), size)

    def scores(self, target: _Spectra) -> Array:
        """Score of this section at every shift on the target."""

        def correlate(a: NDArray[np.complex128], b: NDArray[np.complex128]) -> Array:
            return np.asarray(irfft2(np.conj(a) * b, s=(self.size, self.size)))

        overlap = correlate(self.tissue, target.tissue)
        score = overlap / np.maximum(self.n_cells + target.n_cells - overlap, 1.0)
        together = irfft2((np.conj(self.channels) * target.channels).sum(axis=0), s=(self.size, self.size))
        power = correlate(self.squares, target.tissue) * correlate(self.tissue, target.squares)
        score = score + np.where(power > 1e-9, together / np.sqrt(np.maximum(power, 1e-9)), 0.0)
        return np.where(overlap >= _LEAST_OVERLAP * min(self.n_cells, target.n_cells), score, -np.inf)


def _refine(section: Drawing, other: Drawing, nearest: Nearest, pose: Pose, cell: float) -> Pose:
    """Improve a pose by ever smaller turns and shifts."""
    best = replace(pose, score=score_at_spots(section, other, nearest, pose))
    for step in _STEPS:
        base = best
        for turn in (-_DEGREES * step, 0.0, _DEGREES * step):
            for dx in (-cell * step, 0.0, cell * step):
                for dy in (-cell * step, 0.0, cell * step):
                    shift = (base.shift[0] + dx, base.shift[1] + dy)
                    moved = replace(base, degrees=base.degrees + turn, shift=shift)
                    score = score_at_spots(section, other, nearest, moved)
                    if score > best.score:
                        best = replace(moved, score=score)
    return best


def _exactly(points: Array, reach: float) -> Nearest:
    tree = cKDTree(points)

    def nearest(places: Array) -> NDArray[np.integer]:
        distance, found = tree.query(places, distance_upper_bound=reach)
        return np.where(np.isfinite(distance), found, -1)

    return nearest


def score_at_spots(section: Drawing, other: Drawing, nearest: Nearest, pose: Pose) -> float:
    """Overlap plus correlation at the spots of the section that lie on a spot of the other."""
    found = nearest(pose(section.positions))
    on = found >= 0
    if not on.any():
        return -np.inf
    covered = np.count_nonzero(np.bincount(found[on]))
    overlap = 0.5 * (on.mean() + min(1.0, covered / len(other.positions)))
    overlap += _habit(pose.flip, pose.degrees)
    if not section.channels.shape[1]:
        return float(overlap)
    a, b = section.channels[on], other.channels[found[on]]
    power = float((a**2).sum() * (b**2).sum())
    return float(overlap + ((a * b).sum() / np.sqrt(power) if power > 0 else 0.0))
