"""Simulated anatomy: outline, compartments, nuclei, and the lattice of spots on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import KDTree
from scipy.special import softmax

from ._fields import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMPARTMENTS = ("tumour", "stroma", "immune", "fat", "necrosis")
GRID_UM = 8.0
_AROUND_UM = 150.0


@dataclass(frozen=True)
class TissueLattice:
    """An array of spots: hexagonal (Visium) or square (first-generation arrays); lengths in µm."""

    platform: str
    pitch_um: float
    spot_um: float
    hexagonal: bool

    @property
    def area_um2(self) -> float:
        return self.pitch_um**2 * (np.sqrt(0.75) if self.hexagonal else 1.0)


LATTICES = {
    "visium": TissueLattice("Visium", pitch_um=100.0, spot_um=55.0, hexagonal=True),
    "st": TissueLattice("ST", pitch_um=200.0, spot_um=100.0, hexagonal=False),
}


@dataclass(frozen=True)
class NucleusKind:
    """Nuclei of one compartment: how many per mm² where it is pure, and how they look (lengths in µm)."""

    per_mm2: float
    radius: float
    elongation: float
    stain: float


NUCLEI = (
    NucleusKind(per_mm2=4200, radius=5.0, elongation=1.25, stain=1.05),
    NucleusKind(per_mm2=1300, radius=3.1, elongation=2.7, stain=1.25),
    NucleusKind(per_mm2=15000, radius=3.0, elongation=1.05, stain=1.75),
    NucleusKind(per_mm2=150, radius=2.6, elongation=2.2, stain=1.3),
    NucleusKind(per_mm2=900, radius=1.7, elongation=1.3, stain=1.1),
)


@dataclass(frozen=True)
class Tissue:
    """One simulated section, before any picture or count."""

    grid: Grid
    inside: NDArray[np.float32]  # signed: positive within the tissue
    logits: NDArray[np.float32]  # (5, h, w) of COMPARTMENTS
    nuclei: NDArray[np.float64]  # (n, 2) centres (x, y) in µm
    nucleus_kind: NDArray[np.int64]  # (n,) index into NUCLEI
    nucleus_size: NDArray[np.float64]  # (n,) factor on the radius
    spots: NDArray[np.float64]  # (n_spots, 2) centres (x, y) in µm
    array: NDArray[np.int64]  # (n_spots, 2) row and column


def grow_tissue(rng: np.random.Generator, n_spots: int, lattice: TissueLattice) -> Tissue:
    """Grow a section whose outline holds exactly `n_spots` spots of the lattice."""
    side = np.sqrt(n_spots * lattice.area_um2 / 0.52) + lattice.pitch_um
    aspect = rng.uniform(1.08, 1.2)
    grid = Grid(height_um=side / np.sqrt(aspect), width_um=side * np.sqrt(aspect), step=GRID_UM)
    outline = _outline(rng, grid)
    spots, array = _lattice_points(grid, lattice)
    field = grid.sample(outline, spots)
    order = np.sort(field)
    threshold = 0.5 * (order[n_spots - 1] + order[n_spots])
    kept = field < threshold
    inside = (threshold - outline).astype(np.float32)
    logits = _compartments(rng, grid, inside > 0)
    centers, kind, size = _place_nuclei(rng, grid, logits, inside)
    return Tissue(grid, inside, logits, centers, kind, size, spots[kept], array[kept])


def _outline(rng: np.random.Generator, grid: Grid) -> NDArray[np.float32]:
    y, x = grid.axes()
    dy, dx = 2 * y / grid.height_um - 1, 2 * x / grid.width_um - 1
    size = np.sqrt(grid.height_um * grid.width_um)
    wobble = 0.11 * grid.random(rng, size / 9) + 0.03 * grid.random(rng, size / 40)
    return np.hypot(dy, dx) + wobble


def _lattice_points(grid: Grid, lattice: TissueLattice) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    dy = lattice.pitch_um * (np.sqrt(0.75) if lattice.hexagonal else 1.0)
    margin = 0.6 * lattice.pitch_um
    rows = np.arange(int((grid.height_um - 2 * margin) // dy) + 1)
    columns = np.arange(int((grid.width_um - 2 * margin) // lattice.pitch_um))
    row, column = (index.ravel() for index in np.meshgrid(rows, columns, indexing="ij"))
    shift = 0.5 * (row % 2) if lattice.hexagonal else 0.0
    points = np.column_stack([margin + (column + shift) * lattice.pitch_um, margin + row * dy])
    # Visium numbers the columns of a row in steps of two, odd in odd rows.
    number = 2 * column + row % 2 if lattice.hexagonal else column
    return points, np.column_stack([row, number])


def _compartments(rng: np.random.Generator, grid: Grid, tissue: NDArray[np.bool_]) -> NDArray[np.float32]:
    nest = grid.random(rng, 110) + 0.35 * grid.random(rng, 35)
    infiltrate, adipose = grid.random(rng, 75), grid.random(rng, 170)
    tumor_edge, core = np.quantile(nest[tissue], [0.52, 0.93])
    rim = np.exp(-0.5 * ((nest - tumor_edge) / 0.35) ** 2)
    logits = np.stack(
        [
            7 * (nest - tumor_edge),
            np.zeros_like(nest),
            7 * (infiltrate - np.quantile(infiltrate[tissue], 0.9)) + 4 * rim - 2.5,
            8 * (adipose - np.quantile(adipose[tissue], 0.88)) - 5 * np.maximum(nest - tumor_edge + 0.2, 0),
            7 * (nest - tumor_edge) + 9 * (nest - core),
        ]
    )
    return logits.astype(np.float32)


def memberships(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Share of every compartment, summing to 1 over the first axis."""
    return softmax(logits, axis=0)


def _place_nuclei(
    rng: np.random.Generator, grid: Grid, logits: NDArray[np.float32], inside: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    share = memberships(logits) * (inside > 0)
    crowding = np.clip(np.exp(0.4 * grid.random(rng, 130)), 0.35, 2.0)
    share[2] += 0.02 * (inside > 0) * (share[3] < 0.3)
    placed = [
        _scatter(rng, grid, part * crowding / 2.0, kind.per_mm2 * 2.0) for part, kind in zip(share, NUCLEI, strict=True)
    ]
    kinds = np.repeat(np.arange(len(NUCLEI)), [len(points) for points in placed])
    return np.concatenate(placed), kinds, np.clip(rng.lognormal(0.0, 0.2, len(kinds)), 0.6, 1.6)


def _scatter(
    rng: np.random.Generator, grid: Grid, acceptance: NDArray[np.float32], per_mm2: float
) -> NDArray[np.float64]:
    """Points of a jittered lattice, thinned: cells keep their distance, unlike a Poisson process."""
    spacing = 1e3 / np.sqrt(per_mm2)
    rows, columns = int(grid.height_um / spacing), int(grid.width_um / spacing)
    row, column = (index.ravel() for index in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    points = np.column_stack([column + 0.5 * (row % 2), row]) + 0.5
    points = (points + rng.uniform(-0.42, 0.42, points.shape)) * spacing
    return points[rng.random(len(points)) < grid.sample(acceptance, points)]


def spot_compartments(tissue: Tissue, lattice: TissueLattice) -> NDArray[np.float64]:
    """(n_spots, 5) shares of the compartments under every spot."""
    shares = memberships(tissue.logits)
    columns = [tissue.grid.sample(tissue.grid.smooth(part, lattice.spot_um / 3), tissue.spots) for part in shares]
    return np.column_stack(columns)


def surrounding_compartments(tissue: Tissue) -> NDArray[np.float64]:
    """(n_spots, 5) shares of the compartments around every spot, within about 150 µm."""
    shares = memberships(tissue.logits)
    return np.column_stack([tissue.grid.sample(tissue.grid.smooth(part, _AROUND_UM), tissue.spots) for part in shares])


def spot_nuclei(tissue: Tissue, lattice: TissueLattice) -> NDArray[np.int64]:
    """(n_spots,) number of nuclei under every spot."""
    counts = KDTree(tissue.nuclei).query_ball_point(tissue.spots, lattice.spot_um / 2, return_length=True)
    return np.asarray(counts, dtype=np.int64)
