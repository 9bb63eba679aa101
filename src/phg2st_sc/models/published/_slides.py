"""From the arrays of a slide to what networks of other methods are shown; pictures are read once, into a scratch file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..._arrays import Patches, SlideArrays
from ...nn import FeatureStats
from ._network import SpotInputs

_READ = 512
"""Pictures that are read from the image at a time."""
_HEX_ROW = np.sqrt(3.0) / 2.0


@dataclass(frozen=True)
class PatchSize:
    """Side of the pictures in µm and in pixels."""

    edge_um: float
    size: int


class PatchStore:
    """Pictures of all spots of a slide, decoded at first use into a scratch file that the system pages.

    Parameters
    ----------
    patches
        Where they come from.
    n_spots
        Number of spots.
    size
        Their size.
    """

    def __init__(self, patches: Patches, n_spots: int, size: PatchSize) -> None:
        self._patches, self._n, self._size = patches, n_spots, size

    @cached_property
    def _pixels(self) -> NDArray[np.uint8]:
        edge = self._size.size
        with tempfile.TemporaryFile() as file:  # it goes with the last use of its pages
            pixels = np.memmap(file, dtype=np.uint8, mode="w+", shape=(self._n, 3, edge, edge))
        for start in range(0, self._n, _READ):
            rows = np.arange(start, min(start + _READ, self._n))
            read = self._patches.read(rows, edge_um=self._size.edge_um, size=edge)
            pixels[rows] = read.transpose(0, 3, 1, 2)
        return pixels

    def get(self, rows: NDArray[np.int64]) -> Tensor:
        """(r, 3, size, size) uint8."""
        return torch.from_numpy(np.ascontiguousarray(self._pixels[rows]))


@dataclass(frozen=True, eq=False)
class SlideSource:
    """Image side of one slide.

    Attributes
    ----------
    positions, grid
        See :class:`SpotInputs`.
    features
        (n, d), standardised.
    tiles, context_index
        (t, d) standardised features of tiles, and (n, c²) int64 into them, -1 where there is none.
    patches
        Pictures.
    alone
        Show the predicted spots and no others: for networks that look at each spot by itself.
    patches_at
        See :class:`SpotNetwork`.
    graphs
        Of the slide.
    """

    positions: Tensor
    grid: Tensor
    features: Tensor | None
    tiles: Tensor | None
    context_index: Tensor | None
    patches: PatchStore | None
    alone: bool
    patches_at: str
    graphs: dict[str, Tensor] = field(default_factory=dict)

    @property
    def n_spots(self) -> int:
        """Number of spots."""
        return int(self.positions.shape[0])

    def inputs(self, rows: NDArray[np.int64]) -> SpotInputs:
        """What a network is shown to predict at some spots."""
        index = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        shown = index if self.alone else torch.arange(self.n_spots)
        pictured = shown if self.patches_at == "all" else index
        context, mask = self._context(index)
        return SpotInputs(
            rows=torch.arange(len(index)) if self.alone else index,
            positions=self.positions[shown],
            grid=self.grid[shown],
            patches=None if self.patches is None else self.patches.get(pictured.numpy()),
            features=None if self.features is None else self.features[shown],
            context=context,
            context_mask=mask,
            graphs={} if self.alone else self.graphs,
        )

    def _context(self, index: Tensor) -> tuple[Tensor | None, Tensor | None]:
        if self.tiles is None or self.context_index is None:
            return None, None
        places = self.context_index[index]
        mask = places >= 0
        return self.tiles[places.clamp_min(0)] * mask[..., None], mask


def slide_source(slide: SlideArrays, network: Any, stats: FeatureStats | None, patch: PatchSize | None) -> SlideSource:
    """Tensors of a slide for a network.

    Parameters
    ----------
    slide
        The slide.
    network
        A :class:`SpotNetwork`.
    stats
        Mean and scale of the features of the training slides; ``None`` without features.
    patch
        Size of the pictures; ``None`` for a network that looks at features.
    """
    positions = torch.from_numpy(np.ascontiguousarray(slide.positions, np.float32))
    grid = torch.from_numpy(lattice_grid(slide.positions))
    features = None if stats is None or slide.features is None else torch.from_numpy(stats.apply(slide.features))
    has_context = features is not None and slide.tiles is not None and slide.context_index is not None
    return SlideSource(
        positions,
        grid,
        features,
        torch.from_numpy(stats.apply(slide.tiles)) if has_context else None,  # type: ignore[union-attr,arg-type]
        torch.from_numpy(slide.context_index.astype(np.int64)) if has_context else None,  # type: ignore[union-attr]
        None if patch is None or slide.patches is None else PatchStore(slide.patches, slide.n_spots, patch),
        network.mixes_slides,
        network.patches_at,
        {} if network.mixes_slides else network.slide_graphs(positions, grid),
    )


def check_width(slide: SlideArrays, wanted: int) -> None:
    """Raise where a slide has features of another width than those that were learned from."""
    if slide.features is not None and slide.features.shape[1] != wanted:
        width = slide.features.shape[1]
        msg = f"Slide {slide.name!r} has {width} features per spot, and the model was trained on {wanted}."
        raise ValueError(msg)


def lattice_grid(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n, 2) int64 column and row on the capture lattice, from 0.

    On a hexagonal lattice with horizontal rows columns count half pitches, as the array coordinates of Visium do; with
    vertical columns rows do. A lattice that lies askew, as on a slide that was not scanned upright, is turned upright first.

    Parameters
    ----------
    positions
        (n, 2) spot centres (x, y) in lattice pitches.

    Examples
    --------
    >>> import numpy as np
    >>> lattice_grid(np.array([[5.0, 2.0], [6.02, 2.0], [5.0, 3.0]])).tolist()
    [[0, 0], [1, 0], [0, 1]]
    """
    turn, steps = _lattice(positions)
    upright = positions @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(np.rint((upright - upright.min(axis=0)) / steps), dtype=np.int64)


def _lattice(positions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Angle by which the lattice is turned, and distance of its columns and rows, by the directions of neighbours."""
    from scipy.spatial import cKDTree

    if len(positions) < 3:
        return 0.0, np.ones(2)
    pairs = cKDTree(positions).query_pairs(1.25, output_type="ndarray")
    if not len(pairs):
        return 0.0, np.ones(2)
    offset = positions[pairs[:, 1]] - positions[pairs[:, 0]]
    angle = np.arctan2(offset[:, 1], offset[:, 0])
    six, four = (np.mean(np.exp(1j * k * angle)) for k in (6, 4))
    if abs(six) <= abs(four):
        return float(np.angle(four)) / 4, np.ones(2)
    if six.real > 0:
        return float(np.angle(six)) / 6, np.array([0.5, _HEX_ROW])
    return float(np.angle(-six)) / 6, np.array([_HEX_ROW, 0.5])
