"""Picture of simulated tissue: two stains absorb light as on a slide (Beer-Lambert)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from ._fields import Grid
from ._tissue import NUCLEI, NucleusKind, memberships

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ._tissue import Tissue

HEMATOXYLIN = np.array([0.62, 0.74, 0.34])
EOSIN = np.array([0.11, 0.82, 0.42])
WHITE = 243.0
TEXTURE_UM = 2.0
# Optical density of either stain in pure tumour, stroma, immune aggregate, fat, necrosis.
EOSIN_LEVEL = (0.42, 0.52, 0.20, 0.05, 0.62)
HEMATOXYLIN_LEVEL = (0.24, 0.04, 0.22, 0.0, 0.10)
ADIPOCYTE_UM = 58.0
_TURNS, _VARIANTS = 16, 4


def render(rng: np.random.Generator, tissue: Tissue, mpp: float, stain: NDArray[np.float64]) -> NDArray[np.uint8]:
    """H&E picture (height, width, 3) at `mpp` µm per pixel.

    `stain` holds six factors on the absorption of haematoxylin and eosin in red, green and blue: laboratories differ.
    """
    shape = Grid(tissue.grid.height_um, tissue.grid.width_um, mpp).shape
    fine = Grid(tissue.grid.height_um, tissue.grid.width_um, max(1.5 * mpp, TEXTURE_UM))
    eosin, hematoxylin = _stroma_and_cytoplasm(rng, tissue, fine)
    nuclei = draw_nuclei(rng, tissue, mpp, shape)
    eosin, hematoxylin = fine.resize(eosin, shape), fine.resize(hematoxylin, shape)
    np.clip(eosin, 0, None, out=eosin)
    np.clip(hematoxylin, 0, None, out=hematoxylin)
    hematoxylin += nuclei
    eosin *= 1 - 0.35 * np.minimum(nuclei, 1.0)
    grain = rng.normal(0.0, 1.6, shape).astype(np.float32)
    picture = np.empty((*shape, 3), dtype=np.uint8)
    for channel in range(3):
        density = (HEMATOXYLIN[channel] * stain[channel]) * hematoxylin
        density += (EOSIN[channel] * stain[3 + channel]) * eosin
        light = np.exp(-density, dtype=np.float32) * np.float32(WHITE)
        picture[..., channel] = np.clip(light + grain, 0, 255)
    return picture


def _stroma_and_cytoplasm(
    rng: np.random.Generator, tissue: Tissue, fine: Grid
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    ragged = 0.9 * fine.random(rng, 9.0)
    logits = np.stack([tissue.grid.resize(layer, fine.shape) for layer in tissue.logits])
    logits *= 1.6
    logits[0] += ragged
    logits[2:] += 1.5 * ragged
    share = memberships(logits)
    grain = fine.random(rng, 3.0)
    mottle = fine.random(rng, 16.0)
    fibers, clefts = _fibers(rng, fine)
    texture = (1 + 0.13 * grain + 0.08 * mottle, fibers, 1 + 0.1 * grain, None, 1 + 0.2 * mottle + 0.14 * grain)
    eosin, hematoxylin = (np.zeros(fine.shape, dtype=np.float32) for _ in range(2))
    for part, pattern, level_e, level_h in zip(share, texture, EOSIN_LEVEL, HEMATOXYLIN_LEVEL, strict=True):
        eosin += part * level_e * (_adipocytes(rng, fine, part > 0.02) if pattern is None else pattern)
        hematoxylin += part * level_h * (1 + 0.15 * grain)
    eosin *= 1 - clefts * share[1]
    _retract(eosin, hematoxylin, share, mottle)
    edge = np.clip(tissue.grid.resize(tissue.inside, fine.shape) * 70 + 0.25 * ragged, 0, 1)
    return eosin * edge, hematoxylin * edge


def _fibers(rng: np.random.Generator, fine: Grid) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Wavy collagen, as eosin factor, and the empty clefts between its bundles."""
    y, x = fine.axes()
    angle = rng.uniform(0, np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    along = along + 75 * fine.random(rng, 120) + 9 * fine.random(rng, 25)
    patchy = fine.random(rng, 14.0)
    wave = np.sin(along * (2 * np.pi / 17)) + 0.5 * np.sin(along * (2 * np.pi / 7.3) + 2 * patchy)
    fibers = 1.0 + 0.2 * wave + 0.1 * patchy
    clefts = np.clip(1.6 * (np.sin(along * (2 * np.pi / 41) + 0.8 * patchy) - 0.72) + 0.35 * patchy - 0.2, 0, 0.85)
    return fibers.astype(np.float32), clefts.astype(np.float32)


def _adipocytes(rng: np.random.Generator, fine: Grid, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Thin membranes between empty vacuoles, as eosin factor: the edges of a Voronoi tessellation."""
    rows, columns = (int(length / ADIPOCYTE_UM) + 2 for length in (fine.height_um, fine.width_um))
    row, column = (index.ravel() for index in np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"))
    seeds = np.column_stack([row, column + 0.5 * (row % 2)]) + rng.uniform(-0.32, 0.32, (rows * columns, 2))
    membrane = np.zeros(fine.shape, dtype=np.float32)
    if where.any():
        distance, _ = KDTree(seeds * ADIPOCYTE_UM).query((np.argwhere(where) + 0.5) * fine.step, k=2)
        gap = (distance[:, 1] - distance[:, 0]).astype(np.float32)
        membrane[where] = 9.0 * np.exp(-0.5 * (gap / 3.2) ** 2)
    return membrane


def _retract(
    eosin: NDArray[np.float32],
    hematoxylin: NDArray[np.float32],
    share: NDArray[np.float32],
    mottle: NDArray[np.float32],
) -> None:
    """Pale slits where tumour nests shrank away from the stroma around them."""
    border = np.clip(4 * share[0] * share[1] - 0.55, 0, None) * np.clip(mottle, 0, 1.5)
    keep = np.clip(1 - 1.3 * border, 0.25, 1)
    eosin *= keep
    hematoxylin *= keep


def draw_nuclei(rng: np.random.Generator, tissue: Tissue, mpp: float, shape: tuple[int, int]) -> NDArray[np.float32]:
    """Haematoxylin of all nuclei, from a bank of stamps in several turns, sizes and chromatin patterns."""
    sizes = np.array([0.75, 1.0, 1.3])
    reach = int(np.ceil(max(kind.radius * kind.elongation for kind in NUCLEI) * sizes[-1] / mpp)) + 2
    canvas = np.zeros((shape[0] + 2 * reach, shape[1] + 2 * reach), dtype=np.float32)
    bank = [[_stamps(rng, kind, size, mpp, reach) for size in sizes] for kind in NUCLEI]
    width = 2 * reach + 1
    nearest = np.abs(tissue.nucleus_size[:, None] - sizes).argmin(1)
    turns = rng.integers(0, _TURNS * _VARIANTS, len(nearest))
    strengths = rng.uniform(0.75, 1.2, len(nearest)).astype(np.float32)
    corners = np.floor(tissue.nuclei / mpp).astype(int)
    for (x, y), kind, size, turn, strength in zip(corners, tissue.nucleus_kind, nearest, turns, strengths, strict=True):
        view = canvas[y : y + width, x : x + width]
        stamp = bank[kind][size][turn][: view.shape[0], : view.shape[1]]
        np.maximum(view, stamp * strength, out=view)
    return gaussian_filter(canvas[reach : reach + shape[0], reach : reach + shape[1]], 0.45 / mpp)


def _stamps(rng: np.random.Generator, kind: NucleusKind, size: float, mpp: float, reach: int) -> NDArray[np.float32]:
    """(turns x variants, 2 reach + 1, 2 reach + 1) pictures of one nucleus with a dark rim and speckled chromatin."""
    offset = np.arange(-reach, reach + 1) * mpp
    angle = np.repeat(np.arange(_TURNS) * np.pi / _TURNS, _VARIANTS)[:, None, None]
    along = offset[None, None, :] * np.cos(angle) + offset[None, :, None] * np.sin(angle)
    across = -offset[None, None, :] * np.sin(angle) + offset[None, :, None] * np.cos(angle)
    stretch = np.sqrt(kind.elongation)
    radius = np.hypot(along / (kind.radius * size * stretch), across * stretch / (kind.radius * size))
    body = 1 / (1 + np.exp((radius - 1) * kind.radius * size / (0.55 * max(mpp, 0.8))))
    speckle = gaussian_filter(rng.standard_normal(body.shape), (0, 0.9 / mpp, 0.9 / mpp))
    chromatin = 0.85 + 0.18 * speckle / max(speckle.std(), 1e-9) + 0.22 * np.exp(-0.5 * ((radius - 0.85) / 0.2) ** 2)
    return (kind.stain * body * np.clip(chromatin, 0.4, 1.6)).astype(np.float32)
